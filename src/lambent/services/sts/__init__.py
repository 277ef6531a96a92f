"""Security Token Service: who a credential is, and credentials for a while."""
