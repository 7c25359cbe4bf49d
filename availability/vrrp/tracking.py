"""What a virtual router depends on besides its own interface: track_script and track_interface.

While a script or interface with weight 0 is down, the router is in FAULT. Any other weight changes its
priority, as in keepalived: a positive one is added while the script or interface is up, a negative one while
it is down. `reverse` inverts the sign; with weight 0, the router is in FAULT while the script or interface is
up. No I/O and no clock: the process runs the scripts and reads the state of the interfaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from availability.config.values import Block, Script, Weight, command, weight
from availability.vrrp.router import OWNER

INTERVAL = 1  # seconds between two runs of a script, by default
FAULT_WEIGHT = Weight()  # for what puts a router into FAULT
_HIGHEST = 254  # 255 is for the owner of the addresses


@dataclass(frozen=True, slots=True)
class VrrpScript:
    """A vrrp_script, down after `fall` failures in a row, up after `rise` successes. Times in seconds."""

    name: str
    script: Script
    interval: int = INTERVAL
    timeout: int = INTERVAL
    weight: Weight = FAULT_WEIGHT
    fall: int = 1
    rise: int = 1
    init_fail: bool = False


@dataclass(frozen=True, slots=True)
class Tracked:
    """A script or an interface, by its name, and its weight for one virtual router."""

    kind: str  # script, interface
    name: str
    weight: Weight = FAULT_WEIGHT
    script: VrrpScript | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(slots=True)
class ScriptState:
    """Whether a script is up; None until it has run. Its first result decides at once, unless init_fail."""

    settings: VrrpScript
    is_up: bool | None = field(init=False)
    _against: int = field(init=False, default=0)  # results in a row that contradict `is_up`

    def __post_init__(self) -> None:
        self.is_up = False if self.settings.init_fail else None

    def finish(self, good: bool) -> bool:
        """Take the result of a run; returns whether the script's state has changed."""
        if good is self.is_up:
            self._against = 0
            return False
        self._against += 1
        needed = self.settings.rise if good else self.settings.fall
        if self.is_up is not None and self._against < needed:
            return False
        self.is_up, self._against = good, 0
        return True


State = Mapping[tuple[str, str], "bool | None"]  # by kind and name; None: unknown yet


def failures(tracked: Iterable[Tracked], state: State) -> list[str]:
    """What keeps a router in FAULT, in words; an unknown state does, too."""
    return [_in_words(item, state) for item in tracked if not item.weight.value and not _good(item, state)]


def priority(base: int, tracked: Iterable[Tracked], state: State) -> int:
    """The priority with all weights, from 1 to 254. The address owner's priority never changes."""
    if base == OWNER:
        return base
    return max(1, min(_HIGHEST, base + sum(_added(item, state) for item in tracked)))


def reasons(tracked: Iterable[Tracked], state: State) -> list[str]:
    """What changes the priority at present, in words."""
    return [_in_words(item, state) for item in tracked if _added(item, state)]


def _good(item: Tracked, state: State) -> bool:
    is_up = state[item.kind, item.name]
    return is_up is not None and is_up is not item.weight.reverse


def _added(item: Tracked, state: State) -> int:
    """What an item adds to the priority; 0 while its state is unknown."""
    amount = item.weight.value
    if state[item.kind, item.name] is not (amount > 0):
        return 0
    return -amount if item.weight.reverse else amount


def _in_words(item: Tracked, state: State) -> str:
    is_up = state[item.kind, item.name]
    return f"{item} {'has not run yet' if is_up is None else 'is up' if is_up else 'is down'}"


# ---- from a file ----


def read_scripts(blocks: Iterable[Block]) -> dict[str, VrrpScript]:
    """The vrrp_script blocks by name. Raises ConfigError."""
    found: dict[str, VrrpScript] = {}
    for block in blocks:
        if len(block.words) != 1:
            raise block.error("a vrrp_script needs a name.")
        if block.words[0] in found:
            raise block.error(f"vrrp_script {block.words[0]} exists twice.")
        found[block.words[0]] = _script(block)
    return found


def _script(block: Block) -> VrrpScript:
    if "script" not in block.values:
        raise block.error(f"vrrp_script {block.words[0]} needs script.")
    try:
        words = command(block.get("script"))
    except ValueError as error:
        raise block.error(f"script: {error}.", "script") from None
    interval = block.get("interval", INTERVAL)
    return VrrpScript(
        name=block.words[0],
        script=Script(words, block.get("user", ()), block.places["script"]),
        interval=interval,
        timeout=block.get("timeout", interval),
        weight=block.get("weight", FAULT_WEIGHT),
        fall=block.get("fall", 1),
        rise=block.get("rise", 1),
        init_fail=block.get("init_fail", False),
    )


def read_tracked(block: Block, scripts: Mapping[str, VrrpScript]) -> tuple[Tracked, ...]:
    """The lines of track_script and track_interface in a block. Raises ConfigError."""
    found = list[Tracked]()
    for inner in block.all("track_script", "track_interface"):
        kind = inner.keyword.removeprefix("track_")
        for line in inner.lines:
            name, *rest = line.words
            if kind == "script" and name not in scripts:
                raise line.place.error(f"track_script: there is no vrrp_script {name!r:.60} in this file.")
            amount = scripts[name].weight if kind == "script" else FAULT_WEIGHT
            if rest:
                if rest[0] != "weight":
                    raise line.place.error(
                        f"{inner.keyword}: expected NAME [weight NUMBER [reverse]], got {rest[0]!r:.60}."
                    )
                try:
                    amount = weight(rest[1:])
                except ValueError as error:
                    raise line.place.error(f"{inner.keyword}: {error}.") from None
            if any((item.kind, item.name) == (kind, name) for item in found):
                raise line.place.error(f"{inner.keyword}: {name} is tracked twice.")
            found.append(Tracked(kind, name, amount, scripts[name] if kind == "script" else None))
    return tuple(found)
