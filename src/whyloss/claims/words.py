"""The vocabulary that claims share: factors, their levels, and the verdicts, in English and Chinese.

A level that only one claim uses stands in that claim's `words`."""

from collections.abc import Mapping

from whyloss.claims.claim import Language, Text

FACTORS: Mapping[str, Text] = {
    "protocol": Text("protocol", "协议"),
    "meaning": Text("MSE means", "MSE 指"),
    "statement": Text("statement", "陈述"),
    "data": Text("data", "数据"),
    "model": Text("model", "模型"),
    "noise": Text("label noise", "标签噪声"),
    "loss": Text("loss", "损失"),
    "link": Text("link", "链接函数"),
    "start": Text("start", "起点"),
    "imbalance": Text("majority to minority", "多数类与少数类之比"),
    "stopping": Text("stopping", "停止"),
    "kind": Text("kind", "种类"),
}
LEVELS: Mapping[str, Text] = {
    # protocols
    "fixed": Text("fixed", "固定"),
    "tuned": Text("tuned", "调优"),
    "exact": Text("exact", "精确"),
    # meanings of MSE
    "probabilities": Text("squared error on probabilities", "对概率的平方误差"),
    "linear": Text("least squares on linear outputs", "对线性输出的最小二乘"),
    "codes": Text("regression to integer codes", "对整数编码的回归"),
    # losses
    "ce": Text("cross-entropy", "交叉熵"),
    "bce": Text("binary cross-entropy", "二元交叉熵"),
    "brier": Text("squared error on probabilities", "对概率的平方误差"),
    "squared": Text("least squares on linear outputs", "对线性输出的最小二乘"),
    "mae": Text("MAE", "MAE"),
    "gce": Text("GCE", "GCE"),
    "sce": Text("SCE", "SCE"),
    "nce_rce": Text("NCE+RCE", "NCE+RCE"),
    "focal": Text("focal", "focal"),
    "ls": Text("label smoothing", "标签平滑"),
    "dice": Text("Dice", "Dice"),
    "weighted": Text("class weights", "类别权重"),
    "la": Text("logit adjustment", "logit 调整"),
    # models
    "net": Text("flexible network", "灵活的网络"),
    "line": Text("linear model", "线性模型"),
    # data
    "digits": Text("digits", "手写数字 digits"),
    "breast_cancer": Text("breast cancer", "乳腺癌 breast cancer"),
    "wine": Text("wine", "葡萄酒 wine"),
    "iris": Text("iris", "鸢尾花 iris"),
    "gaussians": Text("Gaussian classes", "高斯类别"),
    "clusters": Text("classes of several clusters", "多簇类别"),
    # stopping
    "last": Text("last step", "最后一步"),
    "early": Text("early stopping", "早停"),
}
VERDICTS: Mapping[str, Text] = {
    "holds": Text("holds", "成立"),
    "does not hold": Text("does not hold", "不成立"),
    "equivalent": Text("equivalent", "相当"),
    "holds only when": Text("holds only when", "仅在以下条件下成立"),
    "undecided": Text("undecided", "未定"),
}


def level(key: str, own: Mapping[str, Text], language: Language) -> str:
    """A level in words; numbers and shares ("40 %") stand for themselves."""
    text = own.get(key) or LEVELS.get(key)
    return text.say(language) if text else key


def factor(key: str, own: Mapping[str, Text], language: Language) -> str:
    text = own.get(key) or FACTORS.get(key)
    return text.say(language) if text else key
