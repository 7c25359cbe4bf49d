"""Set-up scripts for every machine of a virtual server, and the servers that run on the real ones.

    build     values, checked          launcher  starts daemons on many hosts from one process
    render    values -> scripts        ftpd, httpd, tunl0   the daemons
    apply     scripts -> hosts         files     what the daemons serve

Nothing here knows a lab, Mininet or the director's code; only the name of the forwarding
method is shared with it.
"""
