"""Sessions on a Redis or Valkey server: one atomic script an operation, on one server, a cluster, or Sentinel's."""

from openstackai_sessions_redis._async_store import AsyncRedisSession, AsyncRedisStore, open_async_redis_store
from openstackai_sessions_redis._store import RedisSession, RedisStore, open_redis_store
from openstackai_sessions_redis._version import __version__ as __version__

__all__ = [
    "AsyncRedisSession",
    "AsyncRedisStore",
    "RedisSession",
    "RedisStore",
    "open_async_redis_store",
    "open_redis_store",
]
