"""The application: OpenFlow events in, flows and records out.

Thin: `switching` decides what to learn and makes the flows, `arp_log` parses frames, `network_state` keeps
the state. Handlers run one by one in the application's thread; a second thread serves the control socket.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, ClassVar

from director.control.listener import Listener
from labs.controller import framework, state_queries, switching
from labs.controller.arp_log import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV6,
    Frame,
    parse_arp,
    parse_frame,
    parse_neighbour_discovery,
)
from labs.controller.framework import CONNECTED, DISCONNECTED, handles, ofp_event
from labs.controller.network_state import Connection, NetworkState


class SwitchApp(framework.App):
    """Turns every connected switch into a learning switch, and records ARP and neighbour discovery."""

    OFP_VERSIONS: ClassVar = [framework.OPENFLOW]
    control_path: ClassVar[str]  # set before the framework creates its one instance, as is `ipv6`
    ipv6: ClassVar[bool] = False  # whether the lab has IPv6

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._state = NetworkState((framework.NAME, framework.version()))

    def start(self) -> None:
        """Called by the framework once switches can connect; only now the control socket appears."""
        super().start()
        self._listener = Listener(
            self.control_path, lambda request: state_queries.answer(self._state, request)
        )
        framework.spawn(self._serve)

    def _serve(self) -> None:
        while True:
            try:
                self._listener.serve_one()
            except OSError as error:
                logging.warning("control socket: %s", error)

    @handles(ofp_event.EventOFPStateChange, CONNECTED, DISCONNECTED)
    def on_state_change(self, event: Any) -> None:
        datapath = event.datapath
        if event.state == DISCONNECTED:
            self._state.disconnected(datapath)
            return
        self._state.connected(datapath)
        parser = datapath.ofproto_parser
        _send(datapath, switching.initial_flows(datapath, ipv6=self.ipv6))
        # The replies come in this order: names of the ports, then confirmation of all the above.
        _send(datapath, [parser.OFPPortDescStatsRequest(datapath), parser.OFPBarrierRequest(datapath)])

    @handles(ofp_event.EventOFPPortDescStatsReply)
    def on_port_names(self, event: Any) -> None:
        for port in event.msg.body:
            self._state.port_named(event.msg.datapath, port.port_no, _text(port.name))

    @handles(ofp_event.EventOFPBarrierReply)
    def on_flows_in_place(self, event: Any) -> None:
        connection = self._state.connection(event.msg.datapath)
        if connection is not None:
            connection.ready = True

    @handles(ofp_event.EventOFPPortStatus)
    def on_port_change(self, event: Any) -> None:
        message = event.msg
        port = message.desc
        if message.reason == message.datapath.ofproto.OFPPR_DELETE:
            macs = self._state.port_gone(message.datapath, port.port_no)
            _send(message.datapath, switching.forgotten_flows(message.datapath, port.port_no, macs))
        else:
            self._state.port_named(message.datapath, port.port_no, _text(port.name))

    @handles(ofp_event.EventOFPPortStatsReply)
    def on_port_counters(self, event: Any) -> None:
        message = event.msg
        last = not message.flags & message.datapath.ofproto.OFPMPF_REPLY_MORE
        self._state.replies.part(message.datapath.id, message.xid, message.body, last=last)

    @handles(ofp_event.EventOFPPacketIn)
    def on_packet(self, event: Any) -> None:
        message = event.msg
        connection = self._state.connection(message.datapath)
        frame = parse_frame(message.data)
        if connection is None or frame is None:
            return
        port = message.match["in_port"]
        if frame.ethertype in _PARSERS:
            self._record(connection, port, frame, message.data)
        self._learn(connection, port, frame)
        out = connection.macs.port_of(frame.dest)
        _send(message.datapath, [switching.packet_out(message.datapath, port, out, message.data)])

    def _record(self, connection: Connection, port: int, frame: Frame, data: bytes) -> None:
        arp = _PARSERS[frame.ethertype](data)
        if arp is not None:
            self._state.log.add(time.time(), connection.datapath.id, port, frame.source, arp)

    def _learn(self, connection: Connection, port: int, frame: Frame) -> None:
        new = connection.macs.learn(frame.source, port)
        if new is not None:
            _send(
                connection.datapath,
                switching.learnt_flows(connection.datapath, new.mac, new.port, new.moved_from),
            )


_PARSERS = {ETHERTYPE_ARP: parse_arp, ETHERTYPE_IPV6: parse_neighbour_discovery}


def _send(datapath: Any, messages: Iterable[Any]) -> None:
    for message in messages:
        datapath.send_msg(message)


def _text(name: bytes | str) -> str:
    """A port's name, which the frameworks give as bytes, with or without padding."""
    raw = name.decode(errors="replace") if isinstance(name, bytes) else name
    return raw.rstrip("\0")
