{{/* Name of every object: the release's, or <release>-seatrial when the release is called something else. */}}
{{- define "seatrial.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "seatrial" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-seatrial" (.Release.Name | trunc 31) -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the operator's pods; they can't change in an upgrade. */}}
{{- define "seatrial.selector" -}}
app.kubernetes.io/name: seatrial
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "seatrial.labels" -}}
{{ include "seatrial.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: seatrial
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image's whole name. There is no registry to fall back on, so without one the chart says what to do. */}}
{{- define "seatrial.image" -}}
{{- $images := .root.Values.images -}}
{{- $registry := $images.registry | default (.root.Values.global | default dict).imageRegistry -}}
{{- if not $registry -}}
{{- fail "images.registry is empty, and no images are published. Build both and push them with `make image REGISTRY=registry.example.com/ml PUSH=1`, then install with --set images.registry=registry.example.com/ml. For kind and minikube `make image` prints what loads them: images.registry=seatrial.dev fits. See docs/how-to/images.md." -}}
{{- end -}}
{{- $path := printf "%s/%s" (trimSuffix "/" $registry) .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $path .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path (.image.tag | default $images.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "seatrial.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "seatrial.name" .) -}}
{{- end -}}

{{- define "seatrial.subject" -}}
- kind: ServiceAccount
  name: {{ include "seatrial.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Name of what belongs to no namespace: the same release may be installed in several. */}}
{{- define "seatrial.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "seatrial.name" .) -}}
{{- end -}}

{{/* A policy's parameters: what doesn't say that models may use it. */}}
{{- define "seatrial.unlabelled" -}}
paramRef:
  parameterNotFoundAction: Allow
  selector:
    matchExpressions:
      - {key: seatrial.dev/for-models, operator: NotIn, values: ["true"]}
{{- end -}}

{{- define "seatrial.refusal" -}}
{{ printf "'%s ' + params.metadata.name + ' is not for models: label it seatrial.dev/for-models=true if they may use it'" .kind | quote }}
{{- end -}}

{{/* How the operator reaches its Prometheus, and which others ModelDeployments may name, as flags. */}}
{{- define "seatrial.prometheusFlags" -}}
{{- $folder := "/etc/seatrial/prometheus" -}}
{{- with .Values.prometheus }}
{{- with .auth.tokenKey }}
- {{ printf "--prometheus-token-file=%s/%s" $folder . | quote }}
{{- end }}
{{- with .auth.username }}
- {{ printf "--prometheus-username=%s" . | quote }}
{{- end }}
{{- with .auth.passwordKey }}
- {{ printf "--prometheus-password-file=%s/%s" $folder . | quote }}
{{- end }}
{{- with .auth.caKey }}
- {{ printf "--prometheus-ca-file=%s/%s" $folder . | quote }}
{{- end }}
{{- range $name, $value := .headers }}
- {{ printf "--prometheus-header=%s=%s" $name $value | quote }}
{{- end }}
{{- if .insecureSkipVerify }}
- --prometheus-insecure-skip-verify
{{- end }}
{{- range .allow }}
- {{ printf "--prometheus-allow=%s" . | quote }}
{{- end }}
{{- range .secretNames }}
- {{ printf "--prometheus-secret-name=%s" . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How often an endpoint is scraped, and what becomes of its labels. */}}
{{- define "seatrial.scraping" -}}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
