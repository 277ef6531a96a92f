"""Code signing configurations: kept, put on functions, and asked at every deployment of theirs."""
