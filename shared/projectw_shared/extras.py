"""What a console script says when the packages of its extra are not installed."""


def missing_extra(error: ModuleNotFoundError, extra: str, program: str) -> str:
    """Return the sentence that names what ``program`` misses and the installation that brings it.

    Meant for the edge of a program, around the import of everything else::

        try:
            from projectw_tui.cli import main as run
        except ModuleNotFoundError as error:
            sys.exit(missing_extra(error, "tui", "projectw"))
    """
    name = (error.name or "").partition(".")[0]
    remedy = f"pip install 'project-w[{extra}]'"
    if not name or name.startswith("projectw_"):
        return f"{program}: the installation is incomplete ({error}); this repairs it: {remedy}"
    return f"{program} needs the Python package {name!r}, which is not installed; this brings it: {remedy}"
