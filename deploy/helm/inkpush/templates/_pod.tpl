{{/* The pods of a role, `ingest` or `relay`: a dict of root and role. They differ in role, ports,
     probes, resources, and in how they leave. */}}
{{- define "inkpush.pod" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .role -}}
metadata:
  labels:
    {{- include "inkpush.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
  annotations:
    # a new file starts new pods, for only part of it can be reloaded
    checksum/config: {{ include "inkpush.toml" $root | sha256sum }}
    checksum/secrets: {{ toJson $root.Values.secrets | sha256sum }}
    {{- with $root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "inkpush.serviceAccount" $root | quote }}
  # it never asks the cluster's API
  automountServiceAccountToken: false
  enableServiceLinks: false
  # the drain, as long again for writing what came in, and 10 s for the listeners; supervisors kill after it
  terminationGracePeriodSeconds: {{ include "inkpush.grace" . }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    # so that it may read the Secret's files
    fsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- with $root.Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  containers:
    - name: {{ .role }}
      image: "{{ $root.Values.image.repository }}:{{ default $root.Chart.AppVersion $root.Values.image.tag }}"
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      env:
        - name: INKPUSH_SERVER__ROLE
          value: {{ .role }}
        # probes and Prometheus come from outside the pod; the NetworkPolicy says who may
        - name: INKPUSH_OPS__HOST
          value: "0.0.0.0"
        # the image's own value for it would win over the file
        - name: INKPUSH_STORE__URL
        {{- with $root.Values.store }}
        {{- if .urlFrom.name }}
          valueFrom:
            secretKeyRef:
              name: {{ .urlFrom.name | quote }}
              key: {{ .urlFrom.key | quote }}
        {{- else }}
          value: {{ required "store.url or store.urlFrom: where is PostgreSQL?" .url | quote }}
        {{- end }}
        {{- end }}
        {{- with $root.Values.store.passwordFrom }}
        {{- if .name }}
        - name: PGPASSWORD
          valueFrom:
            secretKeyRef:
              name: {{ .name | quote }}
              key: {{ .key | quote }}
        {{- end }}
        {{- end }}
        - name: INKPUSH_QUEUE__URL
          value: {{ required "queue.url: where is NATS? or store" $root.Values.queue.url | quote }}
        {{- with $root.Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- if eq .role "ingest" }}
        - name: http
          containerPort: 8080
        {{- end }}
        - name: ops
          containerPort: 9090
      # The ops listener opens once the database and the queue were reached, and the database was migrated:
      # an index on a large table takes its time, or another pod does it and is waited for. An hour at most.
      startupProbe:
        httpGet: {path: /healthz, port: ops}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 1800
      # Alive, not ready: a restart mends neither a key, nor PostgreSQL, nor NATS.
      livenessProbe:
        httpGet: {path: /healthz, port: ops}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # Never /readyz: what makes it 503 (PostgreSQL or NATS away) is shared by all pods, so that
      # all would leave at once, and a rollout that brings the cure would not go on.
      readinessProbe:
        {{- if eq .role "ingest" }}
        # the public listener, which opens last and closes first
        httpGet: {path: /openapi.json, port: http}
        {{- else }}
        # nobody calls a relay: this paces rollouts, and is what the disruption budget counts
        httpGet: {path: /healthz, port: ops}
        {{- end }}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 3
      {{- if eq .role "ingest" }}
      {{- if $values.preStopSeconds }}
      lifecycle:
        preStop:
          # SIGTERM closes the public listener at once; load balancers must know before
          exec: {command: ["sleep", "{{ $values.preStopSeconds }}"]}
      {{- end }}
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/inkpush
          readOnly: true
        # the image's working directory; nothing is kept in it
        - name: scratch
          mountPath: /var/lib/inkpush
          subPath: work
        - name: scratch
          mountPath: /tmp
          subPath: tmp
  volumes:
    - name: config
      projected:
        # for the pod's group alone, which is fsGroup
        defaultMode: 0440
        sources:
          - configMap:
              name: {{ include "inkpush.fullname" $root }}
          - secret:
              name: {{ include "inkpush.secret" $root | quote }}
    - name: scratch
      emptyDir: {sizeLimit: 64Mi}
  topologySpreadConstraints:
    {{- range tuple "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "inkpush.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.role }}
    {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "inkpush.grace" -}}
{{- $drain := dig "relay" "drain_s" 25 .root.Values.config | ceil | int -}}
{{- $before := eq .role "ingest" | ternary (int .root.Values.ingest.preStopSeconds) 0 -}}
{{- add (mul 2 $drain) 10 $before -}}
{{- end -}}

{{- define "inkpush.deployment" -}}
{{- $values := index .root.Values .role -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "inkpush.fullname" .root }}-{{ .role }}
  labels:
    {{- include "inkpush.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  {{- if not $values.autoscaling.enabled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  # a pod that ends right after its start stops the rollout
  minReadySeconds: 10
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "inkpush.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
  template:
    {{- include "inkpush.pod" . | nindent 4 }}
{{- end -}}
