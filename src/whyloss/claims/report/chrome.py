"""The words around the results, on the pages and in the terminal, in English and Chinese."""

from collections.abc import Mapping

from whyloss.advise.report.steps import Words
from whyloss.claims.claim import Language, Text

CHROME: Mapping[str, Text] = {
    "title": Text("What people say about losses, and what experiments say", "损失函数的流行说法，实验怎么说"),
    "intro": Text(
        "Sentences that are repeated wherever losses are taught. For each, what would have to be measured was written "
        "down first; then it was run, and the verdict was computed from the figures.",
        "这些句子在讲解损失函数的地方被反复引用。每一句都先写明要测量什么，再运行实验，由数值计算得出结论。",
    ),
    "protocols_intro": Text(
        "Two protocols stand side by side: fixed (one conventional learning rate, the last step, threshold 0.5) and "
        "tuned (each loss at its own best learning rate and stopping point, the threshold chosen on validation rows).",
        "两种协议并列：固定（统一的常用学习率，取最后一步，阈值 0.5）与调优"
        "（每种损失各用其最佳学习率与停止点，阈值在验证集上选取）。",
    ),
    "summary": Text("Verdicts", "结论"),
    "ledger": Text("The ledger", "总表"),
    "ledger_caption": Text(
        "Every sentence, its verdict and the figure that the verdict rests on, with its 95 % interval",
        "每一句话、其结论，以及结论所依据的数值和 95 % 区间",
    ),
    "id": Text("Id", "编号"),
    "sentence": Text("Sentence", "说法"),
    "verdict": Text("Verdict", "结论"),
    "figure": Text("Figure", "数值"),
    "interval": Text("95 % interval", "95 % 区间"),
    "seconds": Text("Time", "用时"),
    "fixed": Text("Fixed protocol", "固定协议"),
    "tuned": Text("Tuned protocol", "调优协议"),
    "exact": Text("Exact", "精确"),
    "fixed_short": Text("fixed", "固定"),
    "tuned_short": Text("tuned", "调优"),
    "no_part": Text(
        "No learning rate or threshold has a part in it: one exact answer.", "与学习率和阈值无关：只有一个精确答案。"
    ),
    "not_run": Text("not measured", "未测量"),
    "S1": Text("Article 1: why classification must not use MSE", "文章一：为什么分类问题不能使用 MSE 损失函数"),
    "S2": Text("Article 2: the drawbacks of cross-entropy", "文章二：交叉熵损失函数的缺点"),
    "folk": Text("Sentences from elsewhere", "其他常见说法"),
    "C": Text("Contradictions", "相互矛盾之处"),
    "contradictions_intro": Text(
        "The same articles say opposite things. Where each side is right is found by the runs.",
        "同样的文章里有彼此相反的说法。双方各自在哪里正确，由实验给出。",
    ),
    "figures": Text("All figures", "全部数值"),
    "measured": Text("Measured", "测量"),
    "margin": Text("margin", "等效界值"),
    "towards": Text("as claimed →", "符合说法 →"),
    "condition": Text("Condition", "条件"),
    "answer": Text("Answer", "判断"),
    "on_scale": Text("On a scale", "刻度图"),
    "decides": Text("the verdict rests on this figure", "结论依据此数值"),
    "logarithmic": Text("logarithmic", "对数刻度"),
    "instead": Text("Instead", "应该怎么做"),
    "setting": Text("What was run", "实验设置"),
    "formula": Text("Formula", "公式"),
    "took": Text("Computing time", "计算用时"),
    "original": Text("Original sentence", "原句"),
    "quick": Text("quick run", "快速运行"),
    "quick_note": Text(
        "This is a quick run: fewer seeds and shorter training. Its verdicts are a first look, not the last word.",
        "这是快速运行：种子较少，训练较短。其结论仅供初看，并非定论。",
    ),
    "how": Text("How to read it", "如何阅读"),
    "how_forest": Text(
        "A dot is the mean over seeds, its line the 95 % interval. The band is the margin of practical equivalence: a "
        "difference inside it counts as none. To the right of the band lies what the sentence says.",
        "圆点是各种子的均值，横线是 95 % 区间。灰带是实际等效的界值：落在其中的差异视为没有差异。"
        "灰带右侧是说法所指的方向。",
    ),
    "mean_holds": Text(
        "under every condition tried, the interval lies beyond the margin, on the side that the sentence says",
        "在所有试过的条件下，区间都超出界值，且在说法所指的一侧",
    ),
    "mean_does not hold": Text(
        "it lies beyond the margin on the other side, or inside it where the sentence leaves no room",
        "区间在相反一侧超出界值；或说法不留余地，而区间落在界值之内",
    ),
    "mean_equivalent": Text(
        "the interval lies inside the margin: no difference that matters", "区间落在界值之内：没有实际意义的差异"
    ),
    "mean_holds only when": Text(
        "both happen, and the condition that tells them apart is named", "两种情况都出现，并指出区分它们的条件"
    ),
    "mean_undecided": Text("the interval straddles the margin", "区间跨越界值"),
    "run_again": Text("Run it again", "重新运行"),
    "seed": Text("seed", "种子"),
    "versions": Text("Versions", "版本"),
    "foot": Text(
        "Made by whyloss. Everything on this page is in the page: it asks no network for anything.",
        "由 whyloss 生成。页面内容全部在页面之内，不访问网络。",
    ),
    "back": Text("All claims", "全部说法"),
    "both_sides": Text("Both sides", "双方"),
    "opposed_by": Text("Opposed by", "与之相反"),
    "see": Text("the contradiction", "查看这对矛盾"),
    "right_when": Text("Right when", "正确的条件"),
    "by_statement": Text(
        "Most sentences state several things. Statement by statement, {all} in all",
        "多数句子包含不止一个陈述。逐个陈述统计，共 {all} 个",
    ),
    "statements_hold": Text("{held} of {all} statements hold", "{all} 个陈述中 {held} 个成立"),
    "held": Text("{held} of {all} hold", "{held}/{all} 成立"),
    "some_when": Text(", {some} under conditions", "，{some} 个有条件成立"),
    "right_in_part": Text("Right in part:", "部分正确:"),
    "right": Text("Right under every condition tried", "在所有试过的条件下都正确"),
    "not_right": Text("Right under no condition tried", "在所有试过的条件下都不正确"),
    "not_known": Text("Not settled by these runs", "这些实验未能裁定"),
    "partly": Text("Right in part of the runs; no condition tells which", "在部分实验中正确，但没有条件能加以区分"),
    "sections": Text("Sections", "章节"),
    "claims": Text("claims", "说法"),
    "page": Text("The whole report", "完整报告"),
    "stage": Text("claims", "实验"),
    "interrupted": Text(
        "Interrupted. Finished experiments are kept: the same command goes on from there.",
        "已中断。已完成的实验会保留：再次运行同一命令即可继续。",
    ),
}

STEPS: Mapping[Language, Words] = {
    "en": Words(),
    "zh": Words("{name}……（共 {total} 部分）", "{name}……", "{name}完成，用时 {seconds:.1f} 秒"),
}


def words(language: Language) -> dict[str, str]:
    return {name: text.say(language) for name, text in CHROME.items()}
