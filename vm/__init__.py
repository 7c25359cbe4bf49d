"""A stock kernel in a virtual machine, over this machine's own root file system.

kernel.py    fetches the distribution's kernel and unpacks it into a cache; nothing goes to /boot
machine.py   boots it with virtme-ng and qemu, runs one command in it, and ends it in time
folders.py   a run's folder in the cache, removed also after a run that was killed
command.py   what ./inv vm and ./inv vm-test do: tests run here where this kernel has IPVS itself
budget.py    a plugin of pytest: the order of the tests, and what is begun in the time there is
pace.py      how long tests will take here       results.py   what became of each, outside of the machine
"""
