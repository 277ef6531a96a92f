// Loaded while a pooled process waits: the first `require` of a process costs a millisecond that no function should pay.
