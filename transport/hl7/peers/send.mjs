// Sends two SIU messages to a listener with node-hl7-client and prints each MSA-1: send.mjs PORT
import Client, { Message } from "node-hl7-client";

const port = Number(process.argv[2]);
const siu = (trigger, control) =>
  new Message({
    text:
      `MSH|^~\\&|SCHED|DERMA|RELAIS||20261123080000||SIU^${trigger}^SIU_S12|${control}|P|2.5||||||UNICODE UTF-8\r` +
      `SCH||n-1|||||||20|min|^^^20301201090000||||||||||||||Booked\r` +
      `PID|1||1^^^X||Hébert^Noël\rAIL|1|A|PARC\rAIP|1|A|D7^Gagnon`,
  });

const client = new Client({ host: "127.0.0.1", version: "2.5" });
let answered;
const connection = client.createConnection({ port }, (res) => {
  console.log(res.getMessage().get("MSA.1").toString(), res.getMessage().get("MSA.2").toString());
  answered();
});
for (const [trigger, control] of [["S12", "N1"], ["S15", "N2"]]) {
  const answer = new Promise((resolve) => (answered = resolve));
  await connection.sendMessage(siu(trigger, control));
  await answer;
}
client.closeAll();
process.exit(0);
