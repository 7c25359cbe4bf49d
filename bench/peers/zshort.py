import os
from bench.peers import _director
ABOUT="x"; METHODS=("nat","tun","dr"); OFFLOAD=True
def cannot(): return ""
def set_up(site):
    os.environ["LVS_SHORT_CUT"]="1"
    _director.set_up(site,"ebpf")
    del os.environ["LVS_SHORT_CUT"]
