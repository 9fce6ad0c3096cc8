"""Make the three files of the sample handbook that no text editor can write.

    python tests/data/make_handbook.py

writes `product-specifications.pdf`, `expense-limits.docx` and `purchasing-procedure.txt`
(CP949, with a name that plain EUC-KR cannot spell) into `data/handbook/`. The same sources
give the same bytes: no clock, no random numbers, no fonts of this machine. The texts stand
here, so that a change of a number shows in a diff. It needs the dev dependencies.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from docx import Document
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

HANDBOOK = Path(__file__).parents[2] / "data" / "handbook"
REVISED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
Table = Sequence[Sequence[str]]

PDF_TITLE = "Product specifications 2026"
BALANCES: Table = [
    ["Model", "Capacity", "Readability", "Repeatability", "Settling time", "Pan", "Part number"],
    ["HB-120", "120 g", "0.1 mg", "0.10 mg", "2.8 s", "80 mm", "410-1207"],
    ["HB-220", "220 g", "0.1 mg", "0.12 mg", "3.4 s", "90 mm", "410-2214"],
    ["HB-320", "320 g", "0.1 mg", "0.15 mg", "4.1 s", "90 mm", "410-3221"],
    ["HP-2200", "2,200 g", "10 mg", "8 mg", "1.2 s", "170 mm", "420-2203"],
    ["HP-3200", "3,200 g", "10 mg", "9 mg", "1.4 s", "170 mm", "420-3209"],
    ["HP-6200", "6,200 g", "100 mg", "70 mg", "1.1 s", "195 mm", "420-6218"],
]
THERMOMETERS: Table = [
    ["Model", "Range", "Accuracy", "Response time", "Battery life", "Part number"],
    ["HT-14", "-40 to 150 °C", "0.15 °C", "6.5 s", "320 h", "510-0146"],
    ["HT-41", "-70 to 260 °C", "0.08 °C", "9.2 s", "210 h", "510-0412"],
    ["HT-44W", "-40 to 180 °C", "0.20 °C", "8.4 s", "95 h", "510-0441"],
]
ACCESSORIES: Table = [
    ["Accessory", "Fits", "Part number"],
    ["Draught shield DS-3", "HP-2200, HP-3200", "430-0031"],
    ["Anti-vibration table AV-60", "all HB models", "430-0607"],
    ["Printer PR-8", "all balances", "430-0084"],
    ["Penetration probe TP-150", "HT-14, HT-44W", "530-0150"],
    ["Immersion probe TP-260", "HT-41", "530-0262"],
]
# A string is a paragraph, a string with "# " in front a heading, a list a table.
PDF_PAGES: list[list[str | Table]] = [
    [
        "# Product specifications 2026",
        "Document PM-018, revision 3. Laboratory balances and thermometers of Hanbit "
        "Instruments, Daejeon. Owner: Product Management, Eun Chan-mi, extension 7210. Values "
        "hold at 20 °C to 25 °C and after the warm-up time given in the operating manual of "
        "the instrument.",
        "# 1 Balances",
        "The HB series are analytical balances with a glass draught shield and internal "
        "adjustment. The HP series are precision balances for larger samples. The settling time "
        "is the typical time until the reading is stable with the filter set to standard.",
        BALANCES,
        "HB-320 replaces HB-310, whose spare parts remain available until the end of 2031. "
        "HP-3200 and HP-2200 have the same housing and differ only in the load cell.",
        "All balances have a USB-C socket and an RS-232 socket. The data format can be set to "
        "HBI-2 or to plain text with a semicolon between the fields.",
    ],
    [
        "# 2 Thermometers",
        "HT-14 and HT-41 are hand-held contact thermometers. HT-44W has a wireless sensor that "
        "sends a value every 15 seconds over up to 45 metres in the open. The accuracy is that "
        "of thermometer and probe together. The response time is the time to 90 % of a step in "
        "stirred water.",
        THERMOMETERS,
        "The battery life holds for the lithium cells supplied, with the backlight off. With "
        "the backlight on it is about a third shorter. HT-41 stores 2,600 readings, HT-14 stores "
        "900. HT-44W stores none: the readings are kept by the receiver.",
        "The sensor of HT-44W is sealed to IP67; the hand-held models are sealed to IP54 and "
        "must not be held under running water.",
    ],
    [
        "# 3 Accessories",
        "Probes are calibrated together with the thermometer they are ordered for. A probe that "
        "is ordered later comes with its own certificate.",
        ACCESSORIES,
        "The anti-vibration table AV-60 weighs 64 kg and is delivered on a pallet. It stands on "
        "three feet and carries balances of up to 18 kg.",
        "# 4 Ordering codes",
        "The part number names the instrument with the plug for Korea. Add -E for the plug used "
        "in most of Europe, -U for North America and -J for Japan. Instruments with a factory "
        "certificate in English have the letter C at the end, for example 410-2214-EC.",
        "# 5 Place of installation",
        "A balance stands on a firm table away from doors, windows and air outlets, at least "
        "80 cm from any air conditioner. The operating range is 10 °C to 30 °C at a relative "
        "humidity of 20 % to 75 % without condensation. Altitude has no influence after "
        "adjustment with the internal weight.",
    ],
]

# A string is a paragraph, a string with "# " in front a heading, a list a table.
DOCX_TITLE = "Expense limits and approval"
DOCX_PARTS: list[str | Table] = [
    "Document FIN-015, revision 8. In force from 1 February 2026. Owner: Finance, Min Gyu-ri, "
    "extension 3340. Travel allowances are not treated here but in the travel rules (HR-207, "
    "in Korean).",
    "# What the company pays for",
    "An expense is reimbursed when it was needed for the work, stayed within the limit below and "
    "was approved by the person named there. The limits include tax and service charges. Anyone "
    "who exceeds a limit pays the difference, unless the head of Finance agreed beforehand in "
    "writing.",
    [
        ["Category", "Limit", "Approved by"],
        ["Lunch with a client", "KRW 38,000 per person", "team leader"],
        ["Dinner with a client", "KRW 66,000 per person", "department head"],
        ["Team dinner", "KRW 41,000 per person, once a quarter", "team leader"],
        ["Gift for a client", "KRW 50,000 per person and year", "department head"],
        ["Books and journals", "KRW 170,000 a year", "team leader"],
        ["Outside training", "KRW 840,000 a year", "People and General Affairs"],
        ["Taxi home after 22:30", "KRW 32,000 per ride", "team leader"],
    ],
    "# Meals with clients",
    "The claim names every guest and the guest's company. The number of our own people may not "
    "be larger than the number of guests plus one. Drinks after the meal are not reimbursed. "
    "Employees of public bodies and universities may be invited only after Finance has checked "
    "what the law allows; the limits above do not apply to them.",
    "# How to claim",
    "Claims are made in Eunhasu, the expense system, one claim for each month. They are "
    "submitted by the 8th of the following month and paid out on the 21st. A claim that comes "
    "later is paid out a month later; claims for expenses of more than three months ago are "
    "not accepted.",
    "Photograph the receipt on the day itself. Paper receipts above KRW 30,000 are handed in as "
    "well, in the envelope with the claim number. If a receipt was lost, form FIN-015-B replaces "
    "it, up to KRW 20,000 and at most twice a year.",
    "# Corporate cards",
    "Team leaders and sales engineers have a corporate card with a monthly limit of "
    "KRW 2,400,000. Each payment is assigned to a cost centre in Eunhasu within 10 working days. "
    "The card is not used for private purchases, not even when they are paid back.",
    "A lost card is blocked at once by calling the bank at the number on the Eunhasu start page; "
    "Finance is told on the same day.",
    "# What is not reimbursed",
    "Parking and speeding fines, upgrades of seats or rooms, private telephone calls, and goods "
    "that the purchasing procedure (PU-003, in Korean) covers: anything with a lifetime of more "
    "than a year is purchased, not claimed.",
]

CP949_TEXT = """\
구매 절차 안내

문서번호 PU-003 (개정 12판)
시행일 2026년 1월 2일
담당 구매팀 표은채 (내선 3306)

1. 적용 범위

이 절차는 한빛계측에서 물품을 구매하거나 용역을 의뢰하는 모든 경우에 적용한다. 다만, 출장
여비와 접대비처럼 다른 규정에서 정한 것은 그 규정에 따른다.

2. 구매 요청

가. 구매하려는 부서는 은하수의 구매 화면에서 구매 요청서를 작성한다.
나. 구매 요청은 매주 화요일 15시에 마감하며, 마감한 뒤의 요청은 다음 주에 처리한다.
다. 요청서에는 품명, 규격, 수량, 희망 납기, 예산 과목을 적는다.
라. 생산용 원자재는 자재 담당자가 월 소요량을 기준으로 한꺼번에 요청한다.

3. 결재

가. 90만 원 미만: 팀장
나. 90만 원 이상 700만 원 미만: 부서장
다. 700만 원 이상: 부서장, 재무팀장, 대표이사
라. 같은 물품을 결재 기준보다 작은 금액으로 나누어 요청해서는 아니 된다.

4. 견적

가. 요청 금액이 250만 원 이상이면 3개 이상의 업체에서 견적서를 받는다.
나. 250만 원에 미치지 못하면 1개 업체의 견적서로 갈음할 수 있다.
다. 독점 공급 물품은 금액과 관계없이 사유서를 붙이고 품질보증팀의 확인을 받는다.
라. 사무용품은 (주)다온문구와 맺은 연간 단가 계약에 따라 견적 없이 주문한다.

5. 긴급 구매

가. 설비 고장으로 생산이 멈춘 때에는 긴급 구매를 할 수 있다.
나. 긴급 구매에는 양식 PU-27을 사용하고, 일반 구매에는 양식 PU-12를 사용한다.
다. 긴급 구매를 한 부서는 주문한 날부터 2영업일 이내에 결재를 받는다.

6. 신규 업체 등록

가. 처음 거래하는 업체는 사업자등록증, 통장 사본, 청렴 서약서를 제출한다.
나. 구매팀은 서류를 받은 날부터 7영업일 이내에 등록 여부를 알린다.
다. 교정과 시험을 맡기는 업체는 공인 인정서를 함께 제출하여야 한다.

7. 입고와 검수

가. 물품은 C동 자재창고로 입고하며, 입고 시간은 평일 09시부터 16시까지로 한다.
나. 요청 부서는 입고된 날부터 6영업일 이내에 수량과 품질을 검수한다.
다. 불합격한 물품에는 빨간 꼬리표를 달아 따로 보관하고, 구매팀이 반품을 협의한다.

8. 대금 지급

가. 대금은 검수를 마치고 세금계산서를 받은 달의 다음 달 27일에 지급한다.
나. 선급금은 계약 금액의 30%를 넘을 수 없으며, 보증 보험 증권을 받은 뒤에 지급한다.

9. 기록의 보관

구매 요청서, 견적서, 계약서, 검수 조서는 거래가 끝난 날부터 5년 동안 보관한다.

10. 윤리

가. 업체로부터 금품이나 접대를 받아서는 아니 된다. 받은 선물은 구매팀에 신고하고
돌려준다.
나. 본인이나 가족이 운영하는 업체와 거래하려는 때에는 미리 감사 담당자(한설믜, 내선
3390)에게 알린다.

11. 문의와 개정

가. 은하수의 구매 화면에 오류가 있으면 정보보안팀에, 결재와 견적에 관한 사항은 구매팀에
문의한다.
나. 이 절차는 해마다 12월에 검토하며, 바뀐 내용은 시행하기 2주 전에 사내 게시판에 알린다.
"""


class Specifications(FPDF):
    """An A4 page with a running head and a page number, as an office program makes it."""

    def header(self) -> None:
        self.set_font("Helvetica", size=8)
        self.cell(0, 6, f"Hanbit Instruments | {PDF_TITLE}", align="R")
        self.ln(12)

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font("Helvetica", size=8)
        self.cell(0, 6, f"Page {self.page_no()} of {len(PDF_PAGES)}", align="C")


def make_pdf() -> bytes:
    """Return the product specifications: three pages, each with one ruled table."""
    pdf = Specifications(format="A4")
    pdf.set_title(PDF_TITLE)
    pdf.set_author("Hanbit Instruments")
    pdf.set_lang("en")
    pdf.set_creation_date(REVISED)
    pdf.set_auto_page_break(True, margin=20)
    for parts in PDF_PAGES:
        pdf.add_page()
        for part in parts:
            if not isinstance(part, str):
                _pdf_table(pdf, part)
            elif part.startswith("# "):
                pdf.set_font("Helvetica", "B", 14)
                pdf.multi_cell(0, 9, part[2:], new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            else:
                pdf.set_font("Helvetica", size=10)
                pdf.multi_cell(0, 5.5, part, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
                pdf.ln(3)
    return bytes(pdf.output())


def _pdf_table(pdf: FPDF, rows: Table) -> None:
    pdf.set_font("Helvetica", size=9)
    head = FontFace(emphasis="BOLD", fill_color=(225, 230, 238))
    with pdf.table(rows, headings_style=head, line_height=7, text_align="LEFT"):
        pass
    pdf.ln(5)


def make_docx() -> bytes:
    """Return the expense limits: headings, paragraphs and one table with a header row."""
    document = Document()
    properties = document.core_properties
    properties.title, properties.author = DOCX_TITLE, "Hanbit Instruments"
    properties.created = properties.modified = REVISED
    document.add_heading(DOCX_TITLE, level=1)
    for part in DOCX_PARTS:
        if not isinstance(part, str):
            table = document.add_table(rows=0, cols=len(part[0]), style="Table Grid")
            for row in part:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
        elif part.startswith("# "):
            document.add_heading(part[2:], level=2)
        else:
            document.add_paragraph(part)
    written = io.BytesIO()
    document.save(written)
    return _without_clock(written)


def _without_clock(archive: io.BytesIO) -> bytes:
    """Pack a DOCX again with one fixed time for its members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            member = zipfile.ZipInfo(name, REVISED.timetuple()[:6])
            new.writestr(member, old.read(name), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def make_cp949() -> bytes:
    """Return the purchasing procedure as Windows of old wrote it: CP949, CR LF."""
    return CP949_TEXT.replace("\n", "\r\n").encode("cp949")


def documents() -> dict[str, bytes]:
    """Return the bytes of each generated document by its name in the handbook."""
    return {
        "product-specifications.pdf": make_pdf(),
        "expense-limits.docx": make_docx(),
        "purchasing-procedure.txt": make_cp949(),
    }


if __name__ == "__main__":
    for name, content in documents().items():
        (HANDBOOK / name).write_bytes(content)
        print(f"{HANDBOOK / name}: {len(content)} bytes")
