"""Watches and logs that go on."""

import unittest

from kubernetes import client, watch

import server


class Watch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = server.connect()
        cls.addClassCleanup(cls.api.close)
        cls.batch = client.BatchV1Api(cls.api)
        cls.core = client.CoreV1Api(cls.api)

    def test_a_job_is_watched_from_its_start_to_its_end(self):
        since = self.batch.list_namespaced_job("default").metadata.resource_version
        self.batch.create_namespaced_job("default", server.job("watched"))
        seen = []
        stream = watch.Watch().stream(
            self.batch.list_namespaced_job,
            "default",
            field_selector="metadata.name=watched",
            resource_version=since,
            timeout_seconds=30,
        )
        for event in stream:
            status = event["object"].status
            seen.append(event["type"])
            if any(it.type == "Complete" for it in status.conditions or []):
                break
        self.assertEqual(seen[0], "ADDED")
        self.assertEqual(set(seen[1:]), {"MODIFIED"})
        self.batch.delete_namespaced_job("watched", "default", propagation_policy="Background")

    def test_a_watch_without_a_version_begins_with_what_there_is(self):
        metadata = client.V1ObjectMeta(name="here", labels={"watch": "yes"})
        self.core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=metadata))
        watcher = watch.Watch()
        stream = watcher.stream(
            self.core.list_namespaced_config_map,
            "default",
            label_selector="watch=yes",
            timeout_seconds=30,
        )
        event = next(stream)
        self.assertEqual((event["type"], event["object"].metadata.name), ("ADDED", "here"))
        self.core.delete_namespaced_config_map("here", "default")
        self.assertEqual(next(stream)["type"], "DELETED")
        watcher.stop()

    def test_a_watch_ends_in_time(self):
        stream = watch.Watch().stream(
            self.core.list_namespaced_secret, "kube-public", timeout_seconds=1
        )
        self.assertEqual(list(stream), [])

    def test_a_log_is_followed(self):
        script = "for i in 1 2 3; do echo $i; sleep 0.3; done"
        self.batch.create_namespaced_job("default", server.job("follow", script))

        def started():
            pods = self.core.list_namespaced_pod("default", label_selector="job-name=follow").items
            return [it for it in pods if it.status.phase != "Pending"]

        (pod,) = server.soon(started)
        lines = watch.Watch().stream(
            self.core.read_namespaced_pod_log, pod.metadata.name, "default", follow=True
        )
        self.assertEqual(list(lines), ["1", "2", "3"])


if __name__ == "__main__":
    unittest.main()
