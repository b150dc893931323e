"""The resource `ModelDeployment` (seatrial.dev/v1alpha1) as types, and the CRD made of them."""

GROUP = "seatrial.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
