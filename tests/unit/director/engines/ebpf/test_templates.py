"""Templates that the program follows as well."""

from __future__ import annotations

import pytest

from director.core.packet import TCP, Endpoint
from director.core.persistence import Template, TemplateKey
from director.core.real_server import Method
from director.engines.ebpf import layouts
from tests.unit.director.core.support import RS1, WEB, client
from tests.unit.director.engines.ebpf.support import Shared

KEY = TemplateKey(TCP, client(1).address, WEB)


@pytest.fixture
def shared() -> Shared:
    return Shared(Method.DR, persistent=300)


@pytest.fixture
def template(shared: Shared) -> Template:
    service, server = shared.rules.at(1)
    made = Template(KEY, service, server, RS1, 300)
    shared.templates.add(made, shared.rules.time)
    return made


def written(shared: Shared) -> tuple[int, ...] | None:
    value = shared.templates_map.get(layouts.template_key(KEY))
    return layouts.TEMPLATE.unpack(value) if value else None


def test_the_program_sees_a_template(shared: Shared, template: Template) -> None:
    assert written(shared) == (300 * 10**9, 1, 300)
    assert shared.totals.templates == 1
    shared.templates.renew(template, shared.rules.time + 7)
    assert written(shared) == (307 * 10**9, 1, 300)


def test_an_expired_template_is_removed_from_the_map(shared: Shared, template: Template) -> None:
    shared.templates.expire(shared.rules.time + 300)
    assert (written(shared), shared.totals.templates, template.server.templates) == (None, 0, 0)


def test_an_invalid_template_is_removed_from_the_map(shared: Shared, template: Template) -> None:
    shared.templates.invalidate(template)
    assert written(shared) is None
    assert len(shared.templates) == shared.totals.templates == 1
    shared.templates.expire(shared.rules.time + 300)
    assert (len(shared.templates), shared.totals.templates) == (0, 0)


def test_a_full_map_leaves_the_template_to_the_core(shared: Shared) -> None:
    shared.templates_map.size = 0
    service, server = shared.rules.at(1)
    shared.templates.add(Template(KEY, service, server, RS1, 300), shared.rules.time)
    assert written(shared) is None
    assert shared.templates.find(KEY) is not None


@pytest.mark.parametrize(("passed", "left"), [(10.0, 290.0), (300.0, None)])
def test_the_next_director_adopts_templates_that_have_not_expired(
    shared: Shared, template: Template, passed: float, left: float | None
) -> None:
    assert template.expires == shared.rules.time + 300
    following = Shared(Method.DR, persistent=300)
    following.templates_map.entries = shared.templates_map.entries
    following.rules.time += passed
    following.templates.adopt(following.rules.time)
    found = [
        (kept.expires - following.rules.time, kept.server_endpoint, kept.assured)
        for kept in following.templates
    ]
    assert found == ([(left, RS1, True)] if left else [])


def test_a_template_for_all_ports_is_known_by_its_key(shared: Shared) -> None:
    key = TemplateKey(TCP, client(1).address, Endpoint(WEB.address, 0))
    shared.templates_map.put(layouts.template_key(key), layouts.TEMPLATE.pack(300 * 10**9, 1, 300))
    shared.templates.adopt(shared.rules.time)
    (template,) = shared.templates
    assert (template.key, template.server_endpoint) == (key, Endpoint(RS1.address, 0))
