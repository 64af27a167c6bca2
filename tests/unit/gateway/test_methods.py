import asyncio

from starlette.responses import StreamingResponse

from thumbmill.gateway.http.methods import HeadAsGet


def test_a_head_response_has_no_body():
    sent, methods = [], []

    async def app(scope, receive, send):
        methods.append(scope["method"])
        await StreamingResponse(iter([b"some", b"bytes"]), headers={"Content-Length": "9"})(scope, receive, send)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "HEAD", "path": "/", "headers": []}
    asyncio.run(HeadAsGet(app)(scope, asyncio.Event().wait, send))
    assert methods == ["GET"]
    assert scope["method"] == "HEAD"  # as the server sees it
    assert (b"content-length", b"9") in sent[0]["headers"]
    assert [message["body"] for message in sent[1:]] == [b"", b"", b""]
