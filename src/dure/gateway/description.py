"""What the endpoints of a Flow are, of what the workers said of themselves: for whoever describes it to clients."""

from msgspec import Struct

from dure.executor.endpoints import DEFAULT
from dure.gateway.router import Router
from dure.transport.messages import EndpointInfo


class Description(Struct, frozen=True):
    """One endpoint of a Flow, which several Executors may answer, one after the other."""

    infos: list[EndpointInfo]

    @property
    def streaming(self) -> bool:
        """Whether its answers may come in parts."""
        return any(info.streaming for info in self.infos)

    @property
    def text(self) -> str:
        """What its methods say of themselves."""
        return "\n\n".join(info.description for info in self.infos if info.description)


def description_of(router: Router, endpoint: str) -> Description:
    """Return what is known of an endpoint."""
    answering = [d.endpoints.get(endpoint) or d.endpoints.get(DEFAULT) for d in router.dispatchers.values()]
    return Description([info for info in answering if info is not None])
