"""The fixtures that tests of faults share."""

from servers import empty_cluster, grpc_proxy, own_postgres, quiet_postgres

__all__ = ["empty_cluster", "grpc_proxy", "own_postgres", "quiet_postgres"]
