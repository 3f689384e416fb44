# Says back what the caller says; `#` hangs up. Run: pip install websockets, then python3 echo.py
import asyncio
import json
import os

import websockets


async def call(socket):
    async def send(kind, **fields):
        await socket.send(json.dumps({"type": kind, **fields}))

    try:
        async for data in socket:
            message = json.loads(data)
            kind = message["type"]
            if kind == "start":
                print("call from", message.get("from"), flush=True)
                await send("session.update", vad=True)  # asks for speech.started
            elif kind == "media":  # 20 ms of the caller; answer in pieces of any size, at any speed
                await send("response.audio.delta", delta=message["media"]["payload"])
            elif kind == "speech.started":  # barge-in: what is still queued shall not be heard
                await send("clear")
            elif kind == "dtmf" and message["dtmf"]["digit"] == "#":
                await send("session.hangup", after_playback=True)
            elif kind == "stop":
                print("ended:", message.get("reason"), flush=True)
    except websockets.ConnectionClosed as err:
        print("connection lost:", err, flush=True)


async def main():
    async with websockets.serve(call, "0.0.0.0", int(os.environ.get("PORT", "9000"))) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on ws://127.0.0.1:{port}", flush=True)
        await asyncio.Future()


asyncio.run(main())
