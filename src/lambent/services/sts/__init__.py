"""Security Token Service: who a credential is."""
