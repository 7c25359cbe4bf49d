"""A stock kernel in a virtual machine, over this machine's own root file system.

runner.py           ./inv vm and ./inv vm-test, which runs here if this kernel has IPVS
options.py          the options of ./inv vm-test
virtual_machine.py  boots the kernel with virtme-ng and qemu, runs one command in it, and ends it in time
kernel_packages.py  downloads the distribution's kernel and unpacks it into a cache
run_folder.py       the folder that the machine can write to, removed even if the run is killed
budget.py           a pytest plugin: the order of the tests, what fits into the time, the results so far
pace.py             how slow the machine is: for deadlines and for the budget
"""
