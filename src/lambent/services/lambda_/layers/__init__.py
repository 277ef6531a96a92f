"""Layers: their versions, who may use them, and how a function's parameters become what lies in /opt."""
