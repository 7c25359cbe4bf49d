"""Showing a lab's set-up scripts without running anything."""

from __future__ import annotations

from labs.plan import Plan
from realserver_setup.build import DirectorSetup
from realserver_setup.render import Script, rules_for, script_for


def scripts_in_order(plan: Plan, dialect: str) -> list[Script]:
    """The scripts that build a lab, in the order in which it runs them; the rules come last."""
    scripts = [script_for(setup, dialect) for setup in plan.setups]
    return scripts + [rules_for(setup) for setup in plan.setups if isinstance(setup, DirectorSetup)]


def show_scripts(plan: Plan, dialect: str) -> None:
    """Print them, each under its name."""
    for script in scripts_in_order(plan, dialect):
        print(f"# ---- {script.name} ----")
        print(script.text)
