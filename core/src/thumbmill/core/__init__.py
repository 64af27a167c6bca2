"""The code that Thumbmill's services share: contracts, messaging, the object store, and the life of a process."""
