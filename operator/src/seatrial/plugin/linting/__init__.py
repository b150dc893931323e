"""What `kubectl seatrial lint` finds in a manifest without a cluster. All of it is pure.

documents   the objects of a file, read as kubectl reads YAML
bounds      the CRD's schema: unknown fields, types, bounds, defaults
cel         the CRD's rules, with Kubernetes' own functions
advice      what is allowed and probably not meant, such as steps that convict nobody
checking    all of them, in the order in which the API server looks
"""
