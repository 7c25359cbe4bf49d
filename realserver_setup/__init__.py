"""Set-up scripts for every node of a virtual server, and the daemons of the real servers.

    build     values, checked          launcher  starts daemons on many hosts from one process
    render    values -> scripts        ftpd, httpd, tunl0   the daemons
    apply     scripts -> hosts         files     what the daemons serve

Nothing here depends on labs, Mininet or the director, except for the names of the forwarding methods.
"""
