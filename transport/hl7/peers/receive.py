"""Takes SRM with python3-hl7 and answers SRR^S01: prints its port, then each request's fields."""
import asyncio
import hl7
import hl7.mllp


async def talk(reader, writer):
    while not writer.is_closing():
        try:
            m = await reader.readmessage()
        except asyncio.IncompleteReadError:
            return
        arq, aip = m.segment("ARQ"), m.segment("AIP")
        print(m["MSH.F9.R1.C1"], m["MSH.F9.R1.C2"], m["ARQ.F1.R1.C1"], m["PID.F3.R1.C1"], m["AIP.F3.R1.C1"], str(aip(6)), flush=True)
        writer.writemessage(hl7.parse(
            "MSH|^~\\&|SCHED|DERMA|RELAIS||20261123080000||SRR^S01|R1|P|2.5.1\r"
            "MSA|AA|%s\rSCH|%s|py-1\r" % (m["MSH.F10"], str(arq(1)))))
        await writer.drain()


async def main():
    server = await hl7.mllp.start_hl7_server(talk, "127.0.0.1", 0, encoding="utf-8")
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())
