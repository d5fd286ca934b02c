"""The operator's main job in kopf: an edit is sent to the remote, and each line is looked at again after a while.

The benchmark runs it beside the operator. It trusts every answer, and knows one workspace only, given by the environment.
"""

import asyncio
import datetime
import logging
import os

import aiohttp
import kopf

WORKSPACE = os.environ["WORKSPACE_URL"]
KEY = os.environ["API_KEY"]
PER_SECOND = float(os.environ.get("REQUESTS_PER_SECOND", "1000"))
EVERY = float(os.environ.get("SYNC_SECONDS", "60"))

LINES = ("agents.sarvam.ai", "v1alpha1", "deployments")


class Bucket:
    """Tokens for calls: so many a second, and as many at once after a rest. Who asks first goes first."""

    def __init__(self, per_second):
        self.rate = self.tokens = per_second
        self.filled_at = asyncio.get_running_loop().time()
        self.turn = asyncio.Lock()

    async def take(self):
        async with self.turn:
            now = asyncio.get_running_loop().time()
            self.tokens = min(self.rate, self.tokens + (now - self.filled_at) * self.rate)
            self.filled_at = now
            self.tokens -= 1
            if self.tokens < 0:
                await asyncio.sleep(-self.tokens / self.rate)


class Remote:
    """The workspace at the remote. All calls pass one bucket."""

    def __init__(self):
        self.bucket = Bucket(PER_SECOND)
        timeout = aiohttp.ClientTimeout(total=8)
        self.http = aiohttp.ClientSession(headers={"X-API-Key": KEY}, timeout=timeout, raise_for_status=True)

    async def is_paused(self, line):
        await self.bucket.take()
        async with self.http.get(f"{WORKSPACE}/deployments/{line}") as answer:
            return (await answer.json())["status"] == "paused"

    async def set_paused(self, line, paused):
        await self.bucket.take()
        action = {"action": "pause" if paused else "resume"}
        async with self.http.put(f"{WORKSPACE}/deployments/{line}/status", json=action) as answer:
            return (await answer.json())["status"] == "paused"


@kopf.on.login()
def login(**kwargs):
    return kopf.login_with_kubeconfig(**kwargs)


@kopf.on.startup()
async def start(settings, memo, **_):
    # An Event for each line that is logged would be most of the load.
    settings.posting.level = logging.WARNING
    memo.remote = Remote()


@kopf.on.cleanup()
async def stop(memo, **_):
    await memo.remote.http.close()


@kopf.on.update(*LINES, field="spec.paused")
async def edited(memo, spec, status, meta, patch, logger, **_):
    paused = await memo.remote.set_paused(spec["deploymentID"], spec["paused"])
    logger.info("sent")
    tell(patch, status, meta, paused)


@kopf.timer(*LINES, interval=EVERY)
async def looked(memo, spec, status, meta, patch, logger, **_):
    paused = await memo.remote.is_paused(spec["deploymentID"])
    if paused != spec["paused"]:
        paused = await memo.remote.set_paused(spec["deploymentID"], spec["paused"])
        logger.info("corrected")
    tell(patch, status, meta, paused)


def tell(patch, status, meta, paused):
    """Writes the status, unless it says so already."""
    generation = meta["generation"]
    remote = {"state": "Paused" if paused else "Active"}
    if status.get("observedGeneration") == generation and status.get("remote") == remote:
        return
    patch.status["observedGeneration"] = generation
    patch.status["remote"] = remote
    patch.status["conditions"] = [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Synced",
            "message": "The line is as asked.",
            "observedGeneration": generation,
            "lastTransitionTime": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    ]
