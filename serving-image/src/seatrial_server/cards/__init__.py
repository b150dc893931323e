"""The model's card: who made it of what, for which use, and what it showed. One source, rendered for both readers.

    facts      what is known: model.yaml's words and the trial's numbers
    lineage    where it came from: data, code, parameters, environment, training run, parent
    cyclonedx  CycloneDX 1.6 with a model card, for inventories
    markdown   Markdown with the front matter of Hugging Face, for people and model hubs
    recorded   from what is on record of a version, without its model: a report, a document
    making     from a package's folder, or beside a pod's configuration

A pod's card has no live parts: what serves, drifts or was promoted is the ModelDeployment's to say.
"""
