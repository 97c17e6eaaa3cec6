"""A site: one brand with its own people, policies, sender identity, rules and keys. Described in one YAML file."""
