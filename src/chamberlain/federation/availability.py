"""Which servers have failed lately, and are left alone for a while."""


class AlwaysAsk:
    """Holds no server's failures against it."""

    async def may_ask(self, destination: str) -> bool:
        """Yes."""
        return True

    def answered(self, destination: str) -> None:
        """Nothing follows."""

    def failed(self, destination: str) -> None:
        """Nothing follows."""
