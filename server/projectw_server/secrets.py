"""Settings with the secrets that stand in files of their own."""

from msgspec.structs import replace

from projectw_server.settings import ServerSettings
from projectw_shared.config import read_secret


def with_secrets(settings: ServerSettings) -> ServerSettings:
    """Return ``settings`` with what stands in files of its own, but for the signing key; ConfigError when one is wrong.

    The signing key is read where it is used, because one is made when none is set.
    """
    token = read_secret(settings.metrics_token, settings.metrics_token_file, name="server.metrics_token")
    password = read_secret(settings.smtp_password, settings.smtp_password_file, name="server.smtp_password")
    return replace(
        settings,
        metrics_token=token,
        metrics_token_file=None,
        smtp_password=password,
        smtp_password_file=None,
    )
