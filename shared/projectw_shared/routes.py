"""The paths of the HTTP contract, once for the side that serves them and the sides that call them."""

ABOUT = "/api/about"
HEALTH = "/healthz"
READY = "/readyz"
METRICS = "/metrics"
OPENAPI = "/openapi.json"
DOCS = "/docs"

LOGIN = "/api/auth/login"
REFRESH = "/api/auth/refresh"
LOGOUT = "/api/auth/logout"
LOGOUT_ALL = "/api/auth/logout-all"
SIGNUP = "/api/auth/signup"
ACTIVATE = "/api/auth/activate"
ACTIVATE_RESEND = "/api/auth/activate/resend"
PASSWORD_RESET = "/api/auth/password-reset"  # noqa: S105  a path
PASSWORD_RESET_CONFIRM = "/api/auth/password-reset/confirm"  # noqa: S105  a path

ME = "/api/users/me"
MY_PASSWORD = "/api/users/me/password"  # noqa: S105  a path
MY_EMAIL = "/api/users/me/email"
MY_DEFAULTS = "/api/users/me/defaults"
MY_DISCLOSURES = "/api/users/me/disclosures"
SESSIONS = "/api/sessions"
SESSION = "/api/sessions/{id}"
TOKENS = "/api/tokens"
TOKEN = "/api/tokens/{id}"  # noqa: S105  a path

ADMIN_USERS = "/api/admin/users"
ADMIN_USER = "/api/admin/users/{id}"
ADMIN_JOBS = "/api/admin/jobs"
ADMIN_JOB_TRANSCRIPT = "/api/admin/jobs/{id}/transcript"
ADMIN_AUDIT = "/api/admin/audit"

JOBS = "/api/jobs"
JOB = "/api/jobs/{id}"
JOB_CANCEL = "/api/jobs/{id}/cancel"
JOB_RETRY = "/api/jobs/{id}/retry"
JOB_SEGMENTS = "/api/jobs/{id}/segments"
JOB_TRANSCRIPT = "/api/jobs/{id}/transcript"
JOB_AUDIO = "/api/jobs/{id}/audio"
ESTIMATE = "/api/estimate"
EVENTS = "/api/events"

RUNNERS = "/api/runners"
RUNNER_CREATE = "/api/runners/create"
RUNNER = "/api/runners/{id}"
RUNNER_CORDON = "/api/runners/{id}/cordon"
RUNNER_UNCORDON = "/api/runners/{id}/uncordon"
RUNNER_DRAIN = "/api/runners/{id}/drain"
RUNNER_REGISTER = "/api/runners/register"
RUNNER_HEARTBEAT = "/api/runners/heartbeat"
RUNNER_UNREGISTER = "/api/runners/unregister"
RUNNER_AUDIO = "/api/runners/jobs/{id}/audio"
RUNNER_RESULT = "/api/runners/jobs/{id}/result"


def rule(path: str) -> str:
    """Return ``path`` as a Quart rule: ``{id}`` becomes ``<id>``."""
    return path.replace("{", "<").replace("}", ">")
