"""The client of CVAT's SDK, made to give up where the caller decides what is tried again."""

from typing import Any


def patient_client(url: str, token: str, timeout_seconds: float, organization: str | None) -> Any:
    """A client (``cvat_sdk.core.client.Client``) that waits for no answer longer than told, and asks once.

    The SDK's own client waits for ever, asks again by itself as long as a server's Retry-After says, and follows
    redirects, with the token in its headers.

    Args:
        url: Of the server.
        token: A personal access token.
        timeout_seconds: For one answer.
        organization: Short name; None is the user's own space.

    Raises:
        ImportError: The SDK is not installed.
    """
    from cvat_sdk.api_client.exceptions import ApiException
    from cvat_sdk.api_client.rest import RESTClientObject
    from cvat_sdk.core.client import AccessTokenCredentials, Client

    class OnceClient(RESTClientObject):
        """Asks once, within the time."""

        def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            options["_request_timeout"] = options.get("_request_timeout") or timeout_seconds
            try:
                response = super().request(method, url, *arguments, **options)
            except ApiException as error:
                # The SDK decodes it as UTF-8, also where there is none.
                error.body = (error.body or b"").decode("utf-8", "replace").encode()
                raise
            if response.headers.get("Content-Type", "").startswith("text/html"):
                refused = ApiException(status=0, reason="gives a page instead of an answer")
                refused.body = b""
                raise refused
            return response

    client = Client(url, check_server_version=False)
    configuration = client.api_client.configuration
    configuration.retries = False
    client.api_client.rest_client = OnceClient(configuration)
    client.login(AccessTokenCredentials(token))
    # Without it a user who belongs to organizations would see the tasks of all of them.
    client.organization_slug = organization or ""
    return client
