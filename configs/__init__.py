"""The YAML that ships with srbench: ``methods/<method>/<stage>.yaml``, ``data/*.yaml``, ``protocols/*.yaml``."""
