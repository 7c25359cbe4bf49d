"""A stock kernel in a virtual machine, over this machine's own root file system.

kernel.py    fetches the distribution's kernel and unpacks it into a cache; nothing goes to /boot
machine.py   boots it with virtme-ng and qemu, runs one command in it, and ends it in time
command.py   what ./inv vm and ./inv vm-test do: tests run here where this kernel has IPVS itself
"""
