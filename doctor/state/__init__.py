"""The state of a running lab as the doctor reads it: facts only.

A `LabState` is complete without the lab and can be stored as JSON: the same code finds causes in a running
lab, in a submission and in tests. It contains actual and planned values:

    actual                                         planned
    HostState.links, .addresses (with prefix)      HostState.plugs: interface, switch, address, prefix, MAC
    HostState.routes, .next_hops                   HostState.planned.gateway, .planned.routes
    HostState.addresses with the VIP, .settings    HostState.planned.vip_on, .planned.answers_arp
    HostState.neighbours, complete, with state     LabState.owners(switch, address), and their MACs
    HostState.listeners, each with its process     HostState.planned.ports
    HostState.processes, the director's too        LabState.director_process
    DirectorState.services: weight, thresholds     LabState.servers: name, address, ports, weight
    DirectorState.entries                          DirectorState.limit
    LabState.trials: outcomes                      all of them SERVED
    Paired.settings, .daemons                      Paired.planned, .sync_on, .syncid

Fields that older submissions lack have defaults: no links, no trials and no process mean "unknown", so a
cause that needs them is not reported.

    network    links, addresses, routes, neighbours and filters of a host
    host       a host as a whole, with its processes, sockets and plan
    director   its rules, connections and timeouts; the settings of a pair
    trial      a connection that the doctor tried
    lab        the whole lab, and its JSON
"""

from doctor.state.director import Connection, DirectorState, Down, Mark, Paired, Service, SyncDaemon, Target
from doctor.state.host import (
    ANY,
    ANY6,
    BOTH,
    CLIENT,
    DIRECTOR,
    ROUTER,
    SERVER,
    STOPPED,
    HostState,
    Listener,
    Planned,
    Process,
    Site,
)
from doctor.state.lab import LabState, PlannedServer, states_of
from doctor.state.network import (
    Address,
    FilterRule,
    Link,
    Neighbour,
    NextHop,
    Plug,
    PolicyRule,
    Route,
    TrafficFilter,
)
from doctor.state.trial import (
    FAILED,
    IN,
    NOTHING,
    OTHERS,
    OUT,
    REFUSED,
    RESET,
    SERVED,
    TIMED_OUT,
    UNREACHABLE,
    WRONG_SERVER,
    Sighting,
    Trial,
)

__all__ = [
    "ANY",
    "ANY6",
    "BOTH",
    "CLIENT",
    "DIRECTOR",
    "FAILED",
    "IN",
    "NOTHING",
    "OTHERS",
    "OUT",
    "REFUSED",
    "RESET",
    "ROUTER",
    "SERVED",
    "SERVER",
    "STOPPED",
    "TIMED_OUT",
    "UNREACHABLE",
    "WRONG_SERVER",
    "Address",
    "Connection",
    "DirectorState",
    "Down",
    "FilterRule",
    "HostState",
    "LabState",
    "Link",
    "Listener",
    "Mark",
    "Neighbour",
    "NextHop",
    "Paired",
    "Planned",
    "PlannedServer",
    "Plug",
    "PolicyRule",
    "Process",
    "Route",
    "Service",
    "Sighting",
    "Site",
    "SyncDaemon",
    "Target",
    "TrafficFilter",
    "Trial",
    "states_of",
]
