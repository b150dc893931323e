{{/*
What the operator may do where it works; each verb is one that it uses. Never: reading secrets (but those that
prometheus.secretNames lists), exec, wildcards, or writing a ModelDeployment's spec. Applying (server-side) needs create
and patch; get is asked before a name is taken.
*/}}
{{- define "seatrial.rules" -}}
- apiGroups: [seatrial.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [seatrial.dev]
  resources: [modeldeployments/status]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [cronjobs]  # the templates of training Jobs; watched are those with the label for models
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps]  # updated by compare-and-swap: what is remembered of the traffic
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [services]  # goes with its ModelDeployment, by its owner reference
  verbs: [get, list, watch, create, patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]  # of ModelDeployments with provider GatewayAPI
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]  # patched is one annotation of serving pods, to which a policy holds a cluster-wide operator
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [pods/log]  # a trial's report is the last line of its log
  verbs: [get]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [secrets]  # a key for the tokens of answers, where there is feedback; it is never read
  verbs: [create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- with .Values.prometheus.secretNames }}
- apiGroups: [""]
  resources: [secrets]  # credentials of a Prometheus that ModelDeployments may name
  resourceNames: {{ toJson . }}
  verbs: [get]
{{- end }}
{{- end -}}
