"""An error that another Flow told, on its way to the caller: as it was, not as one of the Executor that asked there."""

from dure.errors import DureError


class Relayed(Exception):
    """Raised by an Executor that hands requests on; what arrives is `error` itself."""

    def __init__(self, error: DureError) -> None:
        super().__init__(str(error))
        self.error = error
