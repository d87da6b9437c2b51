# ruff: noqa
"""A search client whose callers may go past its breaker."""


class SearchClient:
    def __init__(self, index, enable_circuit_breaker=True):
        self.index = index
        self.breaker = CircuitBreaker() if enable_circuit_breaker else None

    async def one(self, query):
        return await self.breaker.call(self.index.search, query)

    async def some(self, queries):
        return [await self.index.search(query) for query in queries]

    async def maybe(self, query):
        if self.breaker is None:
            return await self.index.search(query)
        return await self.breaker.call(self.index.search, query)

    async def send(self, query, bypass_breaker=False):
        if bypass_breaker:
            return await self.index.post(query)
        return await self.breaker.call(self.index.post, query)

    async def fill(self, rows):
        for row in rows:
            await self.send(row, bypass_breaker=True)

    async def probe(self):
        return await self.send("ping", bypass_breaker=True)

    def reset_breaker(self):
        self.breaker.reset()

    def get_stats(self):
        return {"circuit_breaker_enabled": False}
