"""SnapStart of published versions: who may have it, what becomes of a version while its snapshot is taken."""
