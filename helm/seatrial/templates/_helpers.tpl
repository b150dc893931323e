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
