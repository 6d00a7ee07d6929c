{{- define "inkpush.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Room for the longest suffix, -ingest, in the 63 characters of a name. */}}
{{- define "inkpush.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "inkpush.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "inkpush.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "inkpush.selector" -}}
app.kubernetes.io/name: {{ include "inkpush.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "inkpush.labels" -}}
{{ include "inkpush.selector" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "inkpush.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "inkpush.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "inkpush.secret" -}}
{{- default (include "inkpush.fullname" .) .Values.secrets.existingSecret -}}
{{- end -}}

{{/* The file that all pods read. Numbers come as 2.5e+01: TOML's, and the settings' too. */}}
{{- define "inkpush.toml" -}}
# From the chart's value `config`. Role, addresses and the listener for metrics are variables.
{{ toToml .Values.config | trim }}
{{- end -}}
