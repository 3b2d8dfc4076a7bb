"""Links that join several clusters into one network: the Python API of ``kgctl link``.

Write a spec, read the plan, apply it::

    from kgctl import link

    spec = link.LinkSpec([link.ClusterRef.of_context(name, name) for name in ("eu", "us")])
    plan = link.plan_links(spec)
    print(plan)
    link.apply_plan(plan)

This page has every public name; docs/api.md describes them. A name is imported when it is first
used.
"""

TYPE_CHECKING = False  # as in kgctl/__init__.py
if TYPE_CHECKING:
    from kgctl.link.apply import apply_plan
    from kgctl.link.clusters import ClusterRef
    from kgctl.link.plan import plan_links, plan_unlink, wanted_objects
    from kgctl.link.spec import LinkSpec, read_link_spec
    from kgctl.link.steps import LinkError, Plan, Step

__all__ = [
    "ClusterRef",
    "LinkError",
    "LinkSpec",
    "Plan",
    "Step",
    "apply_plan",
    "plan_links",
    "plan_unlink",
    "read_link_spec",
    "wanted_objects",
]

_PLACES = {
    "apply": "apply_plan",
    "clusters": "ClusterRef",
    "plan": "plan_links plan_unlink wanted_objects",
    "spec": "LinkSpec read_link_spec",
    "steps": "LinkError Plan Step",
}


if not TYPE_CHECKING:  # else type checkers would accept every name

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (PEP 562)."""
        for module, names in _PLACES.items():
            if name in names.split():
                from importlib import import_module

                value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return [*__all__, *(name for name in globals() if name not in __all__)]
