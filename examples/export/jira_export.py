#!/usr/bin/env python3
"""Exports projects, users and issues of a Jira site into a folder that `cdm` reads.

    export JIRA_EMAIL=you@example.com   # Jira Cloud only
    export JIRA_TOKEN=...               # an API token (Cloud) or a personal access token (Data Center)
    python3 jira_export.py --url https://your-site.atlassian.net --out export

Needs Python 3.8 or later and nothing else. Issues come with all fields, the names and schemas of the fields, the
changelog, and all comments and worklogs. The folder is changed only when the whole export has succeeded.
"""

import argparse
import base64
import http.client
import json
import os
import random
import re
import shutil
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

TRIES = 8
TRIES_OF_UNKNOWN_HOST = 3
LONGEST_WAIT = 3600  # seconds; an hourly quota is the longest that Jira asks a client to wait for
# Jira Cloud refuses a search without a restriction. This one matches every issue.
EVERYTHING = 'created >= "1970-01-01"'


class Failed(Exception):
    """The export cannot go on; the message says why and what to do."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token must not follow a redirect to another host."""

    def redirect_request(self, *_):
        return None


class Jira:
    """A Jira site and the credentials for it."""

    def __init__(self, url, email, token):
        self.url = url.rstrip("/")
        if email:
            pair = base64.b64encode(f"{email}:{token}".encode()).decode()
            self.authorization = f"Basic {pair}"
        else:
            self.authorization = f"Bearer {token}"
        self.opener = urllib.request.build_opener(NoRedirects)
        self.is_cloud = self.get("/rest/api/2/serverInfo").get("deploymentType") == "Cloud"
        self.api = "/rest/api/3" if self.is_cloud else "/rest/api/2"
        # Without valid credentials most resources answer as if the site were empty; this one does not.
        self.get(f"{self.api}/myself")

    def get(self, path, **query):
        """The answer of a resource, as JSON. Waits and repeats while Jira asks for it or is out of order."""
        query = {name: value for name, value in query.items() if value is not None}
        url = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {"Authorization": self.authorization, "Accept": "application/json"}
        for attempt in range(1, TRIES + 1):
            asked = None
            try:
                request = urllib.request.Request(url, headers=headers)
                with self.opener.open(request, timeout=120) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                if error.code != 429 and error.code < 500:
                    raise Failed(explain(path, error)) from None
                why, asked = f"HTTP {error.code}", error.headers.get("Retry-After")
            except ValueError:
                raise Failed(f"{path}: the answer is not JSON; is {self.url} the address of a Jira site?") from None
            except (OSError, http.client.HTTPException) as error:  # no connection, or one that broke
                why = str(error) or type(error).__name__
                if isinstance(getattr(error, "reason", None), socket.gaierror) and attempt == TRIES_OF_UNKNOWN_HOST:
                    host = urllib.parse.urlsplit(self.url).hostname
                    raise Failed(f"the host {host} is not known; is --url right, and is there a network?") from None
            if attempt == TRIES:
                raise Failed(f"{path}: {why}, after {TRIES} attempts")
            wait = waiting_time(asked, attempt)
            say(f"{path}: {why}; trying again in {wait:.0f} s")
            time.sleep(wait)

    def offset_pages(self, path, member, size, **query):
        """The pages of a listing that counts its entries, each as Jira gives it."""
        start = 0
        while True:
            page = self.get(path, startAt=start, maxResults=size, **query)
            entries = page if member is None else page[member]
            if not entries:
                # A listing without any entry is a page, too: it says that there is none.
                if start == 0:
                    yield page
                return
            yield page
            start += len(entries)
            if member is not None and start >= page.get("total", start + 1):
                return

    def token_pages(self, path, **query):
        """The pages of a listing in which each page names the next one."""
        token, seen = None, set()
        while True:
            page = self.get(path, nextPageToken=token, **query)
            token = page.get("nextPageToken")
            if not token and page.get("isLast") is False:
                raise Failed(f"{path}: a page says that it is not the last one and names no next one")
            if token in seen:
                raise Failed(f"{path}: a page names a next page that was read before")
            if token:
                seen.add(token)
                # It is read now; kept, it would announce a page that is missing.
                del page["nextPageToken"]
                page.pop("isLast", None)
            yield page
            if not token:
                return


def waiting_time(asked, attempt):
    """Seconds to wait: what Jira asks for, and longer after each attempt where it asks for nothing."""
    if asked and asked.strip().isdigit():
        return min(int(asked), LONGEST_WAIT) + random.uniform(0, 1)
    return min(2**attempt, 60) * random.uniform(0.7, 1.3)


def explain(path, error):
    """An answer that will not change by asking again."""
    try:
        body = json.loads(error.read())
        said = "; ".join(body.get("errorMessages") or [str(body.get("message", ""))])
    except (ValueError, AttributeError, OSError):
        said = ""
    hint = {
        301: "give --url as the browser shows it",
        302: "give --url as the browser shows it",
        401: "check JIRA_EMAIL (Jira Cloud only; Data Center must not have it) and JIRA_TOKEN; has the token expired?",
        403: "the account has no permission, or Jira asks for a CAPTCHA: log in with a browser once",
        404: "is --url the address of the site, with the context path if it has one?",
    }.get(error.code, "")
    return ": ".join(part for part in (path, f"HTTP {error.code}", said, hint) if part)


def say(text):
    print(text, file=sys.stderr, flush=True)


class Folder:
    """The files of an export. They are collected beside the folder and moved into it at the end."""

    def __init__(self, path):
        self.path = path.resolve()
        if not self.path.name or (self.path.exists() and not self.path.is_dir()):
            raise Failed(f"--out {path} is no folder that can be written; name one, such as `export`")
        self.partial = self.path.with_name(self.path.name + ".partial")
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
        self.counts = {}

    def write(self, unit, page):
        self.counts[unit] = self.counts.get(unit, 0) + 1
        name = f"{unit}-{self.counts[unit]:04}.json"
        with open(self.partial / name, "w", encoding="utf-8") as file:
            json.dump(page, file, ensure_ascii=False)

    def finish(self):
        """Puts the files into the folder, and removes pages that an earlier, longer export has left there."""
        self.path.mkdir(parents=True, exist_ok=True)
        new = {file.name for file in self.partial.iterdir()}
        for name in sorted(new):
            os.replace(self.partial / name, self.path / name)
        for file in self.path.iterdir():
            if re.fullmatch(r"(projects|users|issues)-\d{4,}\.json", file.name) and file.name not in new:
                file.unlink()
        self.partial.rmdir()


def complete(jira, issue):
    """Adds the entries of embedded lists that a search leaves out."""
    path = f"{jira.api}/issue/{issue['id']}"
    fields = issue.get("fields") or {}
    lists = [(fields.get("comment"), "comments", "comments", f"{path}/comment")]
    lists.append((fields.get("worklog"), "worklogs", "worklogs", f"{path}/worklog"))
    if jira.is_cloud:  # Data Center gives the whole changelog, and has no resource for more of it
        lists.append((issue.get("changelog"), "histories", "values", f"{path}/changelog"))
    for embedded, member, listed, resource in lists:
        if embedded and embedded.get("total", 0) > len(embedded.get(member, [])):
            pages = jira.offset_pages(resource, listed, 100)
            entries = [entry for page in pages for entry in page[listed]]
            embedded.update({member: entries, "startAt": 0, "maxResults": len(entries), "total": len(entries)})


def export_issues(jira, folder, jql, size):
    query = {
        "jql": f"{jql or EVERYTHING} order by created asc, key asc",
        "fields": "*all",
        "expand": "names,schema,changelog",
    }
    if jira.is_cloud:
        pages = jira.token_pages(f"{jira.api}/search/jql", maxResults=size, **query)
    else:
        pages = jira.offset_pages(f"{jira.api}/search", "issues", size, **query)
    count = 0
    for page in pages:
        for issue in page["issues"]:
            complete(jira, issue)
        folder.write("issues", page)
        count += len(page["issues"])
        say(f"{count} issues")


def export_projects(jira, folder):
    expand = "description,lead,url"
    if jira.is_cloud:
        pages = jira.offset_pages(f"{jira.api}/project/search", "values", 100, expand=expand)
    else:
        pages = [jira.get(f"{jira.api}/project", expand=expand)]
    for page in pages:
        folder.write("projects", page)


def export_users(jira, folder):
    if jira.is_cloud:
        path, query = f"{jira.api}/users/search", {}
    else:
        path, query = f"{jira.api}/user/search", {"username": ".", "includeInactive": "true"}
    try:
        for page in jira.offset_pages(path, None, 1000, **query):
            folder.write("users", page)
    except Failed as failure:
        say(f"the list of users is left out: {failure}")
        say("users are then known as far as issues name them")


def page_size(text):
    size = int(text)
    if size < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return size


def main():
    parser = argparse.ArgumentParser(description="Exports a Jira site into a folder that cdm reads.")
    parser.add_argument("--url", required=True, help="the site: https://your-site.atlassian.net")
    parser.add_argument("--out", default="export", type=Path, help="the folder to write (default: export)")
    parser.add_argument("--jql", help="only these issues, without `order by`: 'project = ACME'")
    parser.add_argument("--page-size", default=100, type=page_size, help="issues a request (default: 100)")
    options = parser.parse_args()
    token = os.environ.get("JIRA_TOKEN")
    if not token:
        raise Failed("JIRA_TOKEN is not set: an API token (Cloud) or a personal access token (Data Center)")
    site = urllib.parse.urlsplit(options.url)
    if site.scheme != "https" and site.hostname not in ("localhost", "127.0.0.1"):
        raise Failed("--url does not begin with https://, so the token would be sent unencrypted")
    email = os.environ.get("JIRA_EMAIL")
    if not email and (site.hostname or "").endswith(".atlassian.net"):
        raise Failed("JIRA_EMAIL is not set: Jira Cloud takes an API token together with the account's e-mail address")
    # A folder that cannot be written is known before the first request.
    folder = Folder(options.out)
    try:
        jira = Jira(options.url, email, token)
    except Failed:
        folder.partial.rmdir()
        raise
    export_projects(jira, folder)
    export_users(jira, folder)
    export_issues(jira, folder, options.jql, options.page_size)
    folder.finish()
    say(f"The export is in {options.out}.")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"error: {failure}")
    except OSError as failure:
        sys.exit(f"error: the export cannot be written: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
