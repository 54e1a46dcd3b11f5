#!/usr/bin/env bash
# Every command of the tutorials that this project grew from, in their order, typed into
# the real kubectl against a fresh `wasmjob serve`; then what else people type all day.
# Each command is printed with what it says, and the first that does not do what the
# tutorial promises ends the script with an exit code that is not zero.
#
#   scripts/seeds.sh [WASMJOB]       default: target/debug/wasmjob
#
# KUBECTL=/path/to/kubectl chooses a kubectl; otherwise it is the one on PATH.
#
# Seconds are shortened where a tutorial waits a minute (each place says so); images are
# aliases for the modules in wasm-examples/, and a registry's name is `registry.example`.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
wasmjob=$(realpath "${1:-$root/target/debug/wasmjob}")
[ -x "$wasmjob" ] || { echo "error: $wasmjob is not there: cargo build --workspace" >&2; exit 2; }
KUBECTL=$(command -v "${KUBECTL:-kubectl}") || { echo "error: there is no kubectl" >&2; exit 2; }
kubectl() { "$KUBECTL" "$@"; }

place=$(mktemp -d)
export HOME=$place KUBECACHEDIR=$place/cache
server=
end() {
    code=$?
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    [ "$code" = 0 ] || { echo "--- what the server said"; tail -n 20 "$place/log"; } >&2
    rm -rf "$place"
}
trap end EXIT
cd "$place"

### How it reads: a command, and what must be true of what it said.

said=
chapter() { printf '\n\n=== %s\n' "$*"; }
try() {
    code=0
    eval "$1" >said 2>&1 || code=$?
    said=$(grep -v '^WARNING: version difference' said || true)
}
tell() {
    printf '\n$ %s\n' "$1"
    if [ -n "$said" ]; then printf '%s\n' "$said" | cut -c -200; fi
}
wrong() { printf '\nFAILED: %s\n' "$*" >&2; exit 1; }
# The command succeeds.
run() { try "$1"; tell "$1"; [ "$code" = 0 ] || wrong "\`$1\` ended with $code"; }
# The command is refused.
refused() { try "$1"; tell "$1"; [ "$code" != 0 ] || wrong "\`$1\` should have been refused"; }
# What it said has this text in it, or a line that matches; or it has not.
says() { [[ $said == *"$1"* ]] || wrong "it does not say: $1"; }
line() { grep -qE -- "$1" <<<"$said" || wrong "it has no line like: $1"; }
silent_about() { [[ $said != *"$1"* ]] || wrong "it says: $1"; }
# The command is repeated until what it says has such a line, for a while.
until_line() { # command, line, tenths of a second
    for _ in $(seq "${3:-300}"); do
        try "$1"
        if grep -qE -- "$2" <<<"$said"; then tell "$1"; return; fi
        sleep 0.1
    done
    tell "$1"
    wrong "it never had a line like: $2"
}
# The command goes on beside the others; `shown` ends it.
beside() { # name, command
    printf '\n$ %s &\n' "$2"
    eval "$2" >"$1" 2>&1 &
    besides[$1]=$!
}
declare -A besides
shown() {
    kill "${besides[$1]}" 2>/dev/null || true
    wait "${besides[$1]}" 2>/dev/null || true
    said=$(cat "$1")
    printf '\n$ fg\n%s\n' "$said"
}

### The server.

modules=$root/wasm-examples
"$wasmjob" serve --data-dir "$place/data" --listen 127.0.0.1:0 --no-cache \
    --alias busybox="$modules/busybox/busybox.wasm" \
    --alias perl="$modules/pi/pi.wasm" \
    --alias registry.example/ppg007/cronjob-demo="$modules/hello/hello.wasm" \
    --alias registry.example/dotbalo/mysql="$modules/busybox/busybox.wasm" \
    --alias registry.example/dotbalo/kubectl="$modules/busybox/busybox.wasm" \
    >export 2>log </dev/null &
server=$!
for _ in $(seq 300); do
    if grep -q KUBECONFIG export; then break; fi
    kill -0 "$server" 2>/dev/null || wrong "the server ended"
    sleep 0.1
done
printf '$ wasmjob serve &\n'
cat export
# It is one line to paste into a shell.
eval "$(cat export)"

run 'kubectl version'
says 'Server Version: '
run 'kubectl get namespaces'
line '^default +Active'


chapter 'The first tutorial: a Job, and a CronJob every minute'

run 'kubectl create namespace example'
cat >sms.yaml <<'YAML'
apiVersion: batch/v1
kind: Job
metadata:
  name: sms
  namespace: example
spec:
  template:
    spec:
      imagePullSecrets:
        - name: myali-docker
      containers:
        - name: sms
          image: registry.example/ppg007/cronjob-demo:1.0
          command:
            - ./tencent-sms
      restartPolicy: Never
  backoffLimit: 4
YAML
run 'kubectl apply -f sms.yaml'
says 'job.batch/sms created'
run 'kubectl wait --for=condition=complete job/sms -n example --timeout=30s'
says 'job.batch/sms condition met'

cat >hello.yaml <<'YAML'
apiVersion: batch/v1
kind: CronJob
metadata:
  name: hello
  namespace: example
spec:
  schedule: '* * * * *'
  jobTemplate:
    spec:
      template:
        spec:
          imagePullSecrets:
            - name: myali-docker
          containers:
            - name: hello
              image: registry.example/ppg007/cronjob-demo:1.0
              imagePullPolicy: IfNotPresent
              command:
                - ./tencent-sms
          restartPolicy: Never
YAML
run 'kubectl apply -f hello.yaml'
says 'cronjob.batch/hello created'
run 'kubectl get cronjobs -n example'
line '^hello +\* \* \* \* \* .*False +0 +<none>'

# This goes on for ever; what it shows is looked at in the last chapter, when a minute has
# begun.
beside watched 'kubectl get jobs --watch -n example'

# The tutorial spells Forbid wrongly.
refused "kubectl apply --dry-run=server -f <(sed 's/^spec:/spec:\n  concurrencyPolicy: Forbin/' hello.yaml)"
says 'spec.concurrencyPolicy: Unsupported value: "Forbin": supported values: "Allow", "Forbid", "Replace"'
run "kubectl apply -f <(sed 's/^spec:/spec:\n  concurrencyPolicy: Forbid\n  startingDeadlineSeconds: 100/' hello.yaml)"
says 'cronjob.batch/hello configured'


chapter 'The second tutorial: a Job that is suspended, resumed, and goes'

# ttlSecondsAfterFinished is 100 there.
cat >job-echo.yaml <<'YAML'
apiVersion: batch/v1
kind: Job
metadata:
  name: job-echo
  namespace: default
  labels:
    job-name: job-echo
spec:
  suspend: true                   # A
  ttlSecondsAfterFinished: 9      # B
  backoffLimit: 4    # C
  completions: 2     # C
  parallelism: 2     # C
  template:
    spec:
      containers:
        - command:
            - echo
            - Hello, Job
          image: busybox:latest
          imagePullPolicy: Always
          name: echo
          resources: { }
      restartPolicy: Never
YAML
run 'kubectl apply -f job-echo.yaml'
says 'job.batch/job-echo created'
# Since then `get jobs` has got a column STATUS.
run 'kubectl get jobs'
line '^NAME +STATUS +COMPLETIONS +DURATION +AGE'
line '^job-echo +Suspended +0/2 +[0-9]+s'
run 'kubectl describe jobs job-echo'
line '^Name: +job-echo$'
line '^Namespace: +default$'
line '^Selector: +batch.kubernetes.io/controller-uid=[0-9a-f-]{36}$'
line '^Labels: +job-name=job-echo$'
line '^Parallelism: +2$'
line '^Completions: +2$'
line '^Completion Mode: +NonIndexed$'
line '^Pods Statuses: +0 Active( \(0 Ready\))? / 0 Succeeded / 0 Failed$'
line '^  Labels: +batch.kubernetes.io/controller-uid='
line '^ +batch.kubernetes.io/job-name=job-echo$'
line '^ +Image: +busybox:latest$'
line '^      Hello, Job$'
line '^  Normal +Suspended .* job-controller +Job suspended$'
run "kubectl patch job/job-echo --type=strategic --patch '{\"spec\":{\"suspend\":false}}'"
says 'job.batch/job-echo patched'
run 'kubectl wait --for=condition=complete job/job-echo --timeout=30s'
run 'kubectl get jobs'
line '^job-echo +Complete +2/2 +[0-9]+s +[0-9]+s'
run 'kubectl describe jobs job-echo'
line '^Start Time: +[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} '
line '^Completed At: +[A-Z][a-z]{2}, '
line '^Duration: +[0-9]+'
line '^Pods Statuses: +0 Active( \(0 Ready\))? / 2 Succeeded / 0 Failed$'
line '^  Normal +Suspended .*Job suspended$'
[ "$(grep -cE '^  Normal +SuccessfulCreate .* job-controller +Created pod: job-echo-[bcdfghjklmnpqrstvwxz2456789]{5}$' <<<"$said")" = 2 ] ||
    wrong 'it does not name two pods that were created'
line '^  Normal +Resumed .* job-controller +Job resumed$'
line '^  Normal +Completed .* job-controller +Job completed$'
run 'kubectl get pods'
line '^NAME +READY +STATUS +RESTARTS +AGE$'
[ "$(grep -cE '^job-echo-[a-z0-9]{5} +0/1 +Completed +0 ' <<<"$said")" = 2 ] ||
    wrong 'there are not two pods'
# "After 100 seconds": here it is nine.
until_line 'kubectl get pods' '^No resources found in default namespace.$'


chapter 'The third tutorial: pi'

cat >job.yaml <<'YAML'
apiVersion: batch/v1
kind: Job
metadata:
  name: pi
spec:
  template:
    spec:
      containers:
      - name: pi
        image: perl
        command: ["perl",  "-Mbignum=bpi", "-wle", "print bpi(2000)"]
      restartPolicy: Never
  backoffLimit: 4
YAML
# `job "pi" created`, it said in 2017.
run 'kubectl create -f ./job.yaml'
says 'job.batch/pi created'
run 'kubectl wait --for=condition=complete job/pi --timeout=60s'
run 'kubectl describe job pi'
line '^Selector: +batch.kubernetes.io/controller-uid='
line '^Pods Statuses: +0 Active( \(0 Ready\))? / 1 Succeeded / 0 Failed$'
line '^      print bpi\(2000\)$'
line 'SuccessfulCreate .*Created pod: pi-'
# --show-all was removed from kubectl: pods that have ended are always shown.
refused 'kubectl get pod --show-all -l job-name=pi'
says 'unknown flag: --show-all'
run 'kubectl get pod -l job-name=pi'
line '^pi-[a-z0-9]{5} +0/1 +Completed +0 '
run 'pods=$(kubectl get pods --selector=job-name=pi --output=jsonpath={.items..metadata.name}); echo $pods'
line '^pi-[a-z0-9]{5}$'
run 'kubectl logs $pods'
line '^3\.141592653589793238462643383279502'
[ "${#said}" = 2001 ] || wrong 'it does not print 2000 digits'
# Deleting a Job removes its pods.
run 'kubectl delete job pi'
until_line 'kubectl get pods' '^No resources found'


chapter 'The fourth tutorial: three at a time, schedules, backups'

# It sleeps for 60 seconds there, and is gone after 100.
cat >my-busybox-job.yaml <<'YAML'
apiVersion: batch/v1
kind: Job
metadata:
  name: my-busybox-job
spec:
  parallelism: 3
  completions: 4
  backoffLimit: 2
  ttlSecondsAfterFinished: 1
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: my-container-job
          image: busybox:1.28
          imagePullPolicy: IfNotPresent
          command: ['sh', '-c']
          args: ['echo "Welcome to k8s";sleep 4; echo "Next to Meet you"']
YAML
run 'kubectl apply -f my-busybox-job.yaml'
beside progress 'kubectl get job my-busybox-job --watch'
# The first time three pods are created, the second time only what is left: one.
until_line 'kubectl get pods' '1/1 +Running'
[ "$(grep -c my-busybox-job <<<"$said")" = 3 ] || wrong 'there are not three pods'
run 'kubectl logs -f job/my-busybox-job'
says 'Welcome to k8s'
says 'Next to Meet you'
until_line 'kubectl get job,pod' '^No resources found'
shown progress
line ' 3/4 '
line ' 4/4 '

cat >cj-hello.yaml <<'YAML'
apiVersion: batch/v1
kind: CronJob
metadata:
  name: cj-hello
spec:
  schedule: "*/1 * * * *"
  concurrencyPolicy: Allow
  suspend: false
  successfulJobsHistoryLimit: 3
  failedJobHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      template:
        spec:
          restartPolicy: OnFailure
          containers:
          - name: hello
            image: busybox
            imagePullPolicy: IfNotP-resent
            command:
            - /bin/sh
            - -c
            - date; echo Hello from the Kubernetes cluster
YAML
# Two words in it are misspelt; Kubernetes refuses it too.
refused 'kubectl apply -f cj-hello.yaml'
says 'strict decoding error: unknown field "spec.failedJobHistoryLimit"'
refused 'kubectl apply --validate=ignore -f cj-hello.yaml'
says 'imagePullPolicy: Unsupported value: "IfNotP-resent": supported values: "Always", "IfNotPresent", "Never"'
run "kubectl apply -f <(sed 's/failedJobHistory/failedJobsHistory/; s/IfNotP-resent/IfNotPresent/' cj-hello.yaml)"
says 'cronjob.batch/cj-hello created'
run 'kubectl get cronjob cj-hello'
line '^cj-hello +\*/1 \* \* \* \* '
run 'kubectl delete cronjob cj-hello'

cat >example-cronjob.yaml <<'YAML'
apiVersion: batch/v1
kind: CronJob
metadata:
  name: example-cronjob
spec:
  schedule: "*/5 02 * * *"
  timeZone: "Asia/Shanghai"
YAML
# The tutorial shows the schedule only; a template is required.
refused 'kubectl apply -f example-cronjob.yaml'
says 'spec.jobTemplate.spec.template.spec.containers: Required value'
says 'spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'

run 'kubectl create namespace cronjob'
# There, the command's option is broken over two lines, so that the file is no YAML.
cat >mysql-backup.yaml <<'YAML'
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: mysql-backup-data
  namespace: cronjob
spec:
  accessModes:
    - ReadWriteMany
  resources:
    requests:
      storage: 10Gi
  storageClassName: nfs-csi
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: mysql-backup
  namespace: cronjob
spec:
  schedule: '01 16 * * *'
  failedJobsHistoryLimit: 5
  successfulJobsHistoryLimit: 5
  jobTemplate:
    spec:
      template:
        spec:
          volumes:
          - name: data
            persistentVolumeClaim:
              claimName: mysql-backup-data
          restartPolicy: Never
          containers:
          - name: backup
            image: registry.example/dotbalo/mysql:8.0.20
            command:
            - sh
            - -c
            - |
              mysqldump -hmysql.default -P3306 -uroot -p'password_123' --all-databases > /mnt/all-`date +%Y%m%d-%H%M%S`.sql;
              ls /mnt/
            volumeMounts:
            - name: data
              mountPath: /mnt
YAML
run 'kubectl apply -f mysql-backup.yaml'
says 'persistentvolumeclaim/mysql-backup-data created'
says 'cronjob.batch/mysql-backup created'
run 'kubectl create job mysql-backup-test --from=cronjob/mysql-backup -n cronjob'
says 'job.batch/mysql-backup-test created'
run 'kubectl wait --for=condition=complete job/mysql-backup-test -n cronjob --timeout=30s'
run 'kubectl logs job/mysql-backup-test -n cronjob'
line '^all-[0-9]{8}-[0-9]{6}\.sql$'
run "kubectl get pvc mysql-backup-data -n cronjob"
says 'Bound'
says 'nfs-csi'
# What one Job has written, the next one finds. Their files are named by the second.
sleep 1
run 'kubectl create job mysql-backup-again --from=cronjob/mysql-backup -n cronjob'
run 'kubectl wait --for=condition=complete job/mysql-backup-again -n cronjob --timeout=30s'
run 'kubectl logs job/mysql-backup-again -n cronjob | grep -c "^all-"'
says '2'
run "kubectl get job mysql-backup-test -n cronjob -o jsonpath='{.metadata.annotations.cronjob\.kubernetes\.io/instantiate} {.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}'"
says 'manual CronJob/mysql-backup'

run 'kubectl create clusterrole deployment-restart --verb=get,update,patch --resource=deployments.apps'
says 'clusterrole.rbac.authorization.k8s.io/deployment-restart created'
# -clusterrole has one dash there, which kubectl does not take.
refused 'kubectl create clusterrolebinding deployment-restart-binding -clusterrole=deployment-restart --serviceaccount=cronjob:default'
run 'kubectl create clusterrolebinding deployment-restart-binding --clusterrole=deployment-restart --serviceaccount=cronjob:default'
run 'kubectl auth can-i patch deployments.apps --as=system:serviceaccount:cronjob:default'
says 'yes'
refused 'kubectl auth can-i delete deployments.apps --as=system:serviceaccount:cronjob:default'
says 'no'

# As the tutorial has it, the command is one word: valid, and no program's name.
cat >default-restart.yaml <<'YAML'
apiVersion: batch/v1
kind: CronJob
metadata:
  name: default-restart
  namespace: cronjob
spec:
  schedule: 01 18 * * 5
  concurrencyPolicy: Allow
  suspend: false
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: restart
            image: registry.example/dotbalo/kubectl:latest
            command:
            - /bin/bash - '-c' - >- kubectl rollout restart deploy mysql -n default
YAML
run 'kubectl apply -f default-restart.yaml'
run 'kubectl create job restart-now --from=cronjob/default-restart -n cronjob'
until_line "kubectl get pods -n cronjob -l job-name=restart-now" ' 0/1 +(Error|StartError) '
run 'kubectl delete job restart-now -n cronjob'
# Deployments are only a name here, for roles to speak of.
refused 'kubectl rollout restart deploy mysql -n default'
says 'the server could not find the requested resource'


chapter 'The fifth tutorial: order, limits, time to live, a tree'

# The tutorial applies this very file from kubernetes.io.
run 'kubectl apply -f job.yaml'
says 'job.batch/pi created'
run 'kubectl wait --for=condition=complete job/pi --timeout=60s'
run 'kubectl delete -f job.yaml'

job() { # name, fields of its spec, script
    cat <<YAML
apiVersion: batch/v1
kind: Job
metadata: {name: $1}
spec: {$2, template: {spec: {
  restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [
    {name: main, image: busybox, command: [sh, -c, "$3"]}]}}}
YAML
}
# Completions 2, parallelism 1: one after the other.
run "job serial 'completions: 2' 'sleep 1' | kubectl apply -f -"
# Completions 2, parallelism 2: both at once.
run "job both 'completions: 2, parallelism: 2' 'sleep 600' | kubectl apply -f -"
until_line 'kubectl get job both -o jsonpath={.status.active}' '^2$'
run 'kubectl wait --for=condition=complete job/serial --timeout=30s'
ran='{.status.containerStatuses[0].state.terminated.startedAt} {.status.containerStatuses[0].state.terminated.finishedAt}'
run "kubectl get pods -l job-name=serial -o jsonpath='{range .items[*]}$ran{\"\\n\"}{end}' | sort"
{ read -r _ first_ends; read -r second_starts _; } <<<"$said"
[[ ! $second_starts < $first_ends ]] || wrong 'they overlap'
# backoffLimit: so many failures, and no more.
run "job fails 'backoffLimit: 0' 'exit 3' | kubectl apply -f -"
# activeDeadlineSeconds: after that it is over, and its pod is ended.
run "job late 'activeDeadlineSeconds: 1' 'sleep 600' | kubectl apply -f -"
run 'kubectl wait --for=condition=failed job/fails job/late --timeout=30s'
run 'kubectl get jobs'
line '^fails +Failed +0/1 '
line '^late +Failed +0/1 '
run 'kubectl describe job late'
line '^  Warning +DeadlineExceeded .*Job was active longer than specified deadline$'
run 'kubectl describe job fails'
line '^  Warning +BackoffLimitExceeded .*Job has reached the specified backoff limit$'
run 'kubectl delete jobs --all'

# ttlSecondsAfterFinished is 100 there, and had no effect in its author's cluster.
cat >pi-with-ttl.yaml <<'YAML'
apiVersion: batch/v1
kind: Job
metadata:
  name: pi-with-ttl
spec:
  ttlSecondsAfterFinished: 1
  template:
    spec:
      containers:
      - name: pi
        image: perl
        command: ["perl",  "-Mbignum=bpi", "-wle", "print bpi(2000)"]
      restartPolicy: Never
YAML
run 'kubectl apply -f pi-with-ttl.yaml'
run 'kubectl wait --for=delete job/pi-with-ttl --timeout=60s'

# Kubernetes stopped to serve batch/v1beta1 with 1.25; here it is read as batch/v1.
cat >v1beta1.yaml <<'YAML'
apiVersion: batch/v1beta1
kind: CronJob
metadata:
  name: hello
spec:
  schedule: "*/1 * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - name: hello
            image: busybox
            imagePullPolicy: IfNotPresent
            args:
            - /bin/sh
            - -c
            - date; echo Hello from the Kubernetes cluster
          restartPolicy: OnFailure
YAML
run 'kubectl apply -f v1beta1.yaml'
says 'cronjob.batch/hello created'
run 'kubectl create job hello-now --from=cronjob/hello'
run 'kubectl wait --for=condition=complete job/hello-now --timeout=30s'
run 'kubectl logs job/hello-now'
says 'Hello from the Kubernetes cluster'
# `kubectl tree cronjob hello` is a plugin, which follows these references.
run "kubectl get jobs,pods -o custom-columns='KIND:.kind,NAME:.metadata.name,OWNER:.metadata.ownerReferences[0].kind,OF:.metadata.ownerReferences[0].name'"
line '^Job +hello-now +CronJob +hello$'
line '^Pod +hello-now-[a-z0-9]{5} +Job +hello-now$'
# What has gone takes along what it owns.
run 'kubectl delete cronjob hello'
until_line 'kubectl get jobs,pods' '^No resources found'


chapter 'Looking'

run 'kubectl explain job.spec'
line '^ +backoffLimit'
line '^ +podFailurePolicy'
run 'kubectl explain cronjob.spec.concurrencyPolicy'
says 'Forbid'
run 'kubectl api-resources --api-group=batch'
line '^cronjobs +cj +batch/v1 +true +CronJob'
line '^jobs +batch/v1 +true +Job'
run 'kubectl cluster-info'
says 'is running at'
run 'kubectl get --raw /readyz'
line '^ok$'
run 'kubectl get nodes'
line ' Ready '
run "job work 'completions: 3, parallelism: 3' 'echo working; sleep 1; echo done' | kubectl apply -f -"
run 'kubectl logs -f job/work'
says 'working'
says 'done'
run 'kubectl wait --for=condition=complete job/work --timeout=30s'
run 'kubectl logs -l job-name=work --prefix --tail=1'
[ "$(grep -cE '^\[pod/work-[a-z0-9]{5}/main\] done$' <<<"$said")" = 3 ] || wrong 'not three logs'
run 'kubectl logs job/work --timestamps --since=1h'
line '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z working$'
run 'kubectl get job work -o wide'
line ' main +busybox +batch.kubernetes.io/controller-uid='
run 'kubectl get job work -o yaml'
line '^  completions: 3$'
line '^    type: Complete$'
silent_about managedFields
run 'kubectl get pods --sort-by=.metadata.creationTimestamp -o name'
line '^pod/work-[a-z0-9]{5}$'
run 'kubectl get pods --field-selector=status.phase=Succeeded --show-labels --chunk-size=2'
[ "$(grep -c 'job-name=work' <<<"$said")" = 3 ] || wrong 'not three pods'
run 'kubectl get pods --field-selector=status.phase=Running'
says 'No resources found'
run 'kubectl get events --field-selector=involvedObject.name=work'
line 'Normal +SuccessfulCreate +job/work +Created pod: work-'
run 'kubectl events --for=job/work'
line 'Normal +Completed +Job/work +Job completed'
run "kubectl wait --for=jsonpath='{.status.succeeded}'=3 job/work --timeout=5s"
run 'kubectl get all'
line '^job.batch/work '
refused 'kubectl get job nothing'
says 'Error from server (NotFound): jobs.batch "nothing" not found'
refused 'kubectl get pods --field-selector=spec.foo=bar'
says 'field label not supported: spec.foo'
refused 'kubectl wait --for=condition=failed job/work --timeout=1s'
says 'timed out waiting for the condition on jobs/work'


chapter 'Changing'

cat >two.yaml <<'YAML'
apiVersion: batch/v1
kind: CronJob
metadata:
  name: two
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - {name: first, image: busybox, command: [echo, first]}
          - {name: second, image: busybox, command: [echo, second]}
YAML
containers='kubectl get cronjob two -o jsonpath={.spec.jobTemplate.spec.template.spec.containers[*].name}'
run 'kubectl apply -f two.yaml'
run 'kubectl apply -f two.yaml'
says 'cronjob.batch/two unchanged'
run "$containers"
line '^first second$'
# What is no longer in the file goes.
run 'sed /second/d two.yaml >one.yaml'
refused 'kubectl diff -f one.yaml'
line '^-.* name: second$'
[ "$code" = 1 ] || wrong 'a difference is 1'
run 'kubectl apply -f one.yaml'
says 'cronjob.batch/two configured'
run "$containers"
line '^first$'
run 'kubectl diff -f one.yaml'
run 'kubectl apply --dry-run=server -f two.yaml'
says 'cronjob.batch/two configured (server dry run)'
run "$containers"
line '^first$'

run "KUBE_EDITOR='sed -i \"s/schedule: .*/schedule: 0 4 * * */\"' kubectl edit cronjob two"
says 'cronjob.batch/two edited'
run 'kubectl get cronjob two'
line '^two +0 4 \* \* \* '
run 'kubectl set image cronjob/two first=busybox:1.36'
says 'image updated'
run 'kubectl set env cronjob/two GREETING=hello'
says 'env updated'
run "kubectl get cronjob two -o jsonpath='{.spec.jobTemplate.spec.template.spec.containers[0].image} {.spec.jobTemplate.spec.template.spec.containers[0].env}'"
says 'busybox:1.36 [{"name":"GREETING","value":"hello"}]'

run 'kubectl label cronjob two tier=night'
run 'kubectl label cronjob two tier=day --overwrite'
run 'kubectl annotate cronjob two note=first'
run 'kubectl get cronjobs -l "tier in (day)" -o jsonpath="{.items[*].metadata.annotations.note}"'
line '^first$'
run 'kubectl label cronjob two tier-'
run 'kubectl get cronjobs -l tier -o name'
[ -z "$said" ] || wrong 'the label is still there'
run "kubectl patch cronjob two --type=strategic -p '{\"spec\":{\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"third\",\"image\":\"busybox\"}]}}}}}}'"
run "$containers"
line '^third first$'
run "kubectl patch cronjob two --type=json -p '[{\"op\":\"test\",\"path\":\"/spec/suspend\",\"value\":false},{\"op\":\"remove\",\"path\":\"/spec/jobTemplate/spec/template/spec/containers/0\"}]'"
run "$containers"
line '^first$'
run "kubectl patch cronjob two --type=merge -p '{\"spec\":{\"suspend\":true}}'"
run 'kubectl get cronjob two'
line '^two .* True +0 '
run "kubectl patch cronjob two --type=merge -p '{\"spec\":{\"suspend\":true}}'"
says 'cronjob.batch/two patched (no change)'
refused "kubectl patch cronjob two --type=merge -p '{\"spec\":{\"schedule\":\"61 * * * *\"}}'"
says 'The CronJob "two" is invalid: spec.schedule: Invalid value: "61 * * * *"'
refused "kubectl patch job work --type=merge -p '{\"spec\":{\"completions\":9}}'"
says 'field is immutable'
run "kubectl patch cronjob two --subresource=status --type=merge -p '{\"status\":{\"lastScheduleTime\":\"2024-01-01T00:00:00Z\"}}'"
run 'kubectl get cronjob two -o jsonpath={.status.lastScheduleTime}'
line '^2024-01-01T00:00:00Z$'

run 'kubectl get cronjob two -o yaml >replaced.yaml'
run "sed -i 's/suspend: true/suspend: false/' replaced.yaml"
run 'kubectl replace -f replaced.yaml'
says 'cronjob.batch/two replaced'
# It was read before that change.
refused 'kubectl replace -f replaced.yaml'
says 'the object has been modified; please apply your changes to the latest version and try again'
run 'kubectl replace --force -f two.yaml'
says 'cronjob.batch/two replaced'

# Who applies something owns it; another one is told.
run 'kubectl delete cronjob two'
run 'kubectl apply --server-side --field-manager=ops -f two.yaml'
says 'cronjob.batch/two serverside-applied'
refused "sed 's/0 3/0 5/' two.yaml | kubectl apply --server-side --field-manager=dev -f -"
says 'Apply failed with 1 conflict: conflict with "ops": .spec.schedule'
run "sed 's/0 3/0 5/' two.yaml | kubectl apply --server-side --field-manager=dev --force-conflicts -f -"
run 'kubectl get cronjob two --show-managed-fields -o yaml'
line '^    manager: dev$'
line '^    manager: ops$'

run 'kubectl create configmap settings --from-literal=a=b'
run 'kubectl create secret generic password --from-literal=password=hunter2'
run 'kubectl get configmap,secret'
line '^configmap/settings +1 '
line '^secret/password +Opaque +1 '
run 'kubectl describe secret password'
line '^password: +7 bytes$'
silent_about hunter2
run 'kubectl create job quick --image=busybox -- echo quick'
run 'kubectl create cronjob often --schedule="*/5 * * * *" --image=busybox -- echo often'
run 'kubectl run once --image=busybox --restart=Never -- echo once'
run "kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/once --timeout=30s"
run 'kubectl logs once'
line '^once$'


chapter 'Deleting'

for way in background foreground orphan; do
    run "job $way 'parallelism: 2, completions: 2' 'sleep 600' | kubectl apply -f -"
    until_line "kubectl get pods -l job-name=$way" ' Running '
    # kubectl waits until the Job is gone.
    run "kubectl delete job $way --cascade=$way"
    says "job.batch \"$way\" deleted"
done
until_line "kubectl get pods -l 'job-name in (background, foreground)'" '^No resources found'
# Pods that lost their Job go on, and have no owner any more.
run "kubectl get pods -l job-name=orphan -o custom-columns='OWNER:.metadata.ownerReferences,PHASE:.status.phase'"
[ "$(grep -cE '^<none> +Running$' <<<"$said")" = 2 ] || wrong 'not two orphans that run'
run 'kubectl delete pods -l job-name=orphan --now'
run 'kubectl delete pod once --grace-period=0 --force'
run 'kubectl delete job quick --dry-run=server'
run 'kubectl get job quick'
refused 'kubectl delete job nothing'
says 'jobs.batch "nothing" not found'
run 'kubectl delete job nothing --ignore-not-found'
run 'kubectl delete jobs,cronjobs --all'
until_line 'kubectl get jobs,cronjobs,pods' '^No resources found'


chapter 'Who may do what'

# kubectl 1.27 asks for a beta of the review behind it, which is served no more.
minor=$(kubectl version --client -o json | sed -n 's/.*"minor": "\([0-9]*\).*/\1/p')
if [ "$minor" -ge 28 ]; then
    run 'kubectl auth whoami'
    line '^Groups +\['
fi
run 'kubectl auth can-i create jobs'
says yes
run 'kubectl auth can-i --list'
line '^\*\.\* '
run 'kubectl create serviceaccount robot'
run 'token=$(kubectl create token robot --duration=1h); echo ${token%%.*}'
run 'kubectl config set-credentials robot --token=$token'
run 'kubectl config set-context robot --cluster=$(kubectl config view -o jsonpath="{.clusters[0].name}") --user=robot'
if [ "$minor" -ge 28 ]; then
    run 'kubectl --context=robot auth whoami'
    line '^Username +system:serviceaccount:default:robot$'
fi
refused 'kubectl --context=robot get jobs'
says 'Error from server (Forbidden): jobs.batch is forbidden: User "system:serviceaccount:default:robot" cannot list resource "jobs" in API group "batch" in the namespace "default"'
run 'kubectl create role reader --verb=get,list,watch --resource=jobs.batch'
run 'kubectl create rolebinding robot-reads --role=reader --serviceaccount=default:robot'
run 'kubectl --context=robot get jobs'
refused 'kubectl --context=robot get jobs -A'
says 'at the cluster scope'
refused 'kubectl --context=robot create job no --image=busybox'
says 'cannot create resource "jobs" in API group "batch" in the namespace "default"'
run 'kubectl --context=robot auth can-i --list'
line '^jobs\.batch +\[\] +\[\] +\[get list watch\]$'
refused 'kubectl --token=wrong --context=robot get jobs'
says 'error: You must be logged in to the server'


chapter 'What pods may speak to'

cat >egress.yaml <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: egress
spec:
  podSelector: {matchLabels: {app: report}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports:
    - {port: 443}
YAML
run 'kubectl apply -f egress.yaml'
says 'networkpolicy.networking.k8s.io/egress created'
# Its rules are applied as a whole, defaults too, which changes nothing.
run 'kubectl apply -f egress.yaml'
run "kubectl get netpol egress -o jsonpath='{.metadata.generation}'"
line '^1$'
run 'kubectl diff -f egress.yaml'
run 'kubectl get netpol'
line '^egress +app=report +[0-9]+s$'
run 'kubectl describe networkpolicy egress'
says 'To Port: 443/TCP'
says 'CIDR: 10.0.0.0/8'
says 'Except: 10.1.0.0/16'
run 'kubectl explain networkpolicy.spec.egress.to.ipBlock'
says 'IPBlock describes a particular CIDR'
run "kubectl patch netpol egress --type=json -p '[{\"op\": \"add\", \"path\": \"/spec/egress/0/to/-\", \"value\": {\"podSelector\": {}}}]'"
says 'Warning: spec.egress[0].to[1]: pods have no addresses here: a peer by selector matches nothing'
run "kubectl get netpol egress -o jsonpath='{.metadata.generation}'"
line '^2$'
refused "kubectl patch netpol egress --type=merge -p '{\"spec\": {\"egress\": [{\"to\": [{}]}]}}'"
says 'spec.egress[0].to[0]: Required value: must specify a peer'
run 'kubectl auth can-i create networkpolicies --as=someone --as-group=system:masters'
run 'kubectl delete netpol egress'


chapter 'What there is not, and how it says so'

run "job stays 'backoffLimit: 1' 'sleep 600' | kubectl apply -f -"
until_line 'kubectl get pods' ' Running '
run 'pod=$(kubectl get pods -o name)'
refused 'kubectl rollout status job/stays'
refused 'kubectl scale job/stays --replicas=3'
says 'could not find the requested resource'
refused 'kubectl port-forward $pod 8080:80'
says 'a wasm pod listens on no port'
refused 'kubectl debug $pod --image=busybox --target=main'
refused 'kubectl create deployment web --image=busybox'
says 'the server could not find the requested resource'
refused 'kubectl get deployments'
says 'the server could not find the requested resource'
refused 'kubectl get statefulsets'
says "the server doesn't have a resource type \"statefulsets\""
refused "kubectl apply -f - <<<'{\"apiVersion\": \"apps/v1\", \"kind\": \"StatefulSet\", \"metadata\": {\"name\": \"web\"}}'"
says 'no matches for kind "StatefulSet" in version "apps/v1"'
refused "job Wrong_Name 'backoffLimit: -1' true | kubectl apply -f -"
says 'metadata.name: Invalid value: "Wrong_Name"'
says 'spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0'


chapter 'The minute that the first tutorial waits for'

until_line 'kubectl get jobs -n example' '^hello-[0-9]{8} +Complete +1/1 ' 900
slot=$(grep -oE 'hello-[0-9]{8}' <<<"$said" | head -n 1)
run "pod=\$(kubectl get pods -n example -l job-name=$slot -o jsonpath='{.items[0].metadata.name}'); echo \$pod"
run 'kubectl logs -n example $pod'
says 'Hello, world!'
run 'kubectl get cronjob hello -n example'
line '^hello +\* \* \* \* \* .*False +0 +[0-9]+s '
shown watched
line "^$slot .*Running"
line "^$slot .*Complete"
# A namespace goes with all that is in it.
run 'kubectl delete namespace example cronjob'
refused 'kubectl get namespace example'
says 'namespaces "example" not found'

printf '\nEvery command did what its tutorial says.\n'
