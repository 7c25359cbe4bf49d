"""The network of a lab: namespaces, Open vSwitch, topology and addresses."""
