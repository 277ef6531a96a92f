"""Who asks: access keys, session tokens and the signatures made with them. Later also what they may."""
