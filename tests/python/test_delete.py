"""Deletion: this client puts its options into the query."""

import unittest

from kubernetes import client
from kubernetes.client.rest import ApiException

import server


class Delete(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = server.connect()
        cls.addClassCleanup(cls.api.close)
        cls.batch = client.BatchV1Api(cls.api)
        cls.core = client.CoreV1Api(cls.api)

    def pods(self, job):
        return self.core.list_namespaced_pod("default", label_selector=f"job-name={job}").items

    def running(self, name):
        self.batch.create_namespaced_job("default", server.job(name, "sleep 600"))
        return server.soon(lambda: [it for it in self.pods(name) if it.status.phase == "Running"])

    def is_gone(self, name):
        jobs = self.batch.list_namespaced_job("default").items
        return name not in [it.metadata.name for it in jobs]

    def delete(self, name, **options):
        return self.batch.delete_namespaced_job_with_http_info(name, "default", **options)

    def test_in_the_background(self):
        self.running("background")
        self.delete("background", propagation_policy="Background")
        server.soon(lambda: self.is_gone("background") and not self.pods("background"))

    def test_in_the_foreground(self):
        self.running("foreground")
        self.delete("foreground", propagation_policy="Foreground")
        server.soon(lambda: self.is_gone("foreground"))
        self.assertEqual(self.pods("foreground"), [])

    def test_leaving_orphans(self):
        self.running("orphan")
        self.delete("orphan", propagation_policy="Orphan")
        server.soon(lambda: self.is_gone("orphan"))
        (pod,) = server.soon(
            lambda: [it for it in self.pods("orphan") if not it.metadata.owner_references]
        )
        self.assertEqual(pod.status.phase, "Running")
        self.core.delete_namespaced_pod(pod.metadata.name, "default", grace_period_seconds=0)
        server.soon(lambda: not self.pods("orphan"))

    def test_saying_nothing_leaves_orphans_and_warns(self):
        self.running("silent")
        _, _, headers = self.delete("silent")
        self.assertIn("child pods are preserved by default", headers["Warning"])
        server.soon(lambda: self.is_gone("silent"))
        self.assertEqual(len(self.pods("silent")), 1)
        self.core.delete_collection_namespaced_pod("default", label_selector="job-name=silent")
        server.soon(lambda: not self.pods("silent"))

    def test_by_the_body(self):
        self.running("body")
        options = client.V1DeleteOptions(propagation_policy="Background")
        self.delete("body", body=options)
        server.soon(lambda: self.is_gone("body") and not self.pods("body"))

    def test_only_trying(self):
        self.batch.create_namespaced_job("default", server.job("dry"))
        self.delete("dry", dry_run="All", propagation_policy="Background")
        self.assertFalse(self.is_gone("dry"))

    def test_only_if_it_is_the_one(self):
        self.batch.create_namespaced_job("default", server.job("one"))
        other = "8b2e6a2c-0000-4000-8000-000000000000"
        options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=other))
        with self.assertRaises(ApiException) as refused:
            self.delete("one", body=options)
        self.assertEqual(refused.exception.status, 409)
        with self.assertRaises(ApiException) as refused:
            self.delete("one", propagation_policy="Sideways")
        self.assertEqual(refused.exception.status, 422)

    def test_evicting(self):
        (pod,) = self.running("evicted")
        metadata = client.V1ObjectMeta(name=pod.metadata.name, namespace="default")
        eviction = client.V1Eviction(metadata=metadata)
        self.core.create_namespaced_pod_eviction(pod.metadata.name, "default", eviction)
        # The Job makes another.
        uid = pod.metadata.uid
        server.soon(
            lambda: [
                it
                for it in self.pods("evicted")
                if it.metadata.uid != uid and it.status.phase == "Running"
            ]
        )


if __name__ == "__main__":
    unittest.main()
